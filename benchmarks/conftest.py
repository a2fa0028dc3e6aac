"""What ``make bench`` writes: ratios and times, and no more of the machine than they depend on."""


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
