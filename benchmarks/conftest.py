"""What benchmarks share: their threads, and what ``make bench`` writes of them and of the machine."""

import pytest
import torch


@pytest.fixture(autouse=True)
def threads(request):
    """Run a file's benchmarks on its ``THREADS``, where it says how many."""
    before = torch.get_num_threads()
    torch.set_num_threads(getattr(request.module, "THREADS", before))
    yield
    torch.set_num_threads(before)


def pytest_benchmark_update_json(config, benchmarks, output_json):
    machine = output_json["machine_info"]
    output_json["machine_info"] = {
        "cpu": machine["cpu"].get("brand_raw"),
        "cores": machine["cpu"].get("count"),
        "python": machine["python_version"],
    }
    output_json.pop("commit_info", None)
    for entry in output_json["benchmarks"]:
        entry["stats"] = {key: entry["stats"][key] for key in ("min", "median", "rounds")}
        entry.pop("options", None)
