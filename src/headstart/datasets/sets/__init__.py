"""The benchmark sets, one file each: its reader, its public files with their checksums, its references."""
