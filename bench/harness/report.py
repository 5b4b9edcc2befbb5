"""Rounds into medians, medians into the table, the JSON file and docs/benchmarks.md."""
import json
import pathlib
import statistics

TOP = pathlib.Path(__file__).resolve().parents[2]
RESULTS = TOP / "build" / "bench" / "results.json"
DOCUMENT = TOP / "docs" / "benchmarks.md"
BEGIN, END = "<!-- results: written by bench/run --write-docs -->", "<!-- end of results -->"
SUMMED = ("n", "errors", "reconnects")

# (name, what, unit, bound or None: shown beside the others, True when larger is better)
TARGETS = (
    ("atoll_to_raw", "create→execute→delete over HTTP : raw limit, p50", "×", 2.5, False),
    ("docker_to_atoll", "docker run : create→execute→delete, p50", "×", 40.0, True),
    ("per_second_8", "create→execute→delete, 8 in parallel", "/s", 250.0, True),
    ("agent_pss_mb", "idle memory of one sandbox (agent, PSS)", "MB", 0.5, False),
    ("v1_get_per_second", "GET /v1/sandboxes/{id}, 32 connections", "/s", 15000.0, True),
    ("v1_get_p99_ms", "GET /v1/sandboxes/{id}, 32 connections, p99", "ms", 10.0, False),
    ("admission_ms", "quotas add to a create's p50", "ms", 0.5, False),
    ("list_p50_ms", "list of 50 among a million, p50", "ms", 5.0, False),
    ("fair_p99_ratio", "p99 beside another's burst : alone", "×", 2.0, False),
    ("exec_to_host", "exec of `true` : posix_spawn on the host, p50", "×", 2.0, False),
    ("docker_to_exec", "docker exec : exec of `true`, p50", "×", 40.0, True),
    ("engine_to_exec", "Engine API's exec : exec of `true`, p50", "×", None, True),
    ("exec_per_second_32", "exec of `true`, 32 in parallel", "/s", 1800.0, True),
    ("streams_lost", "lines lost of the streams", "", 0.0, False),
    ("streams_p99_ms", "delay of a line while all streams run, p99", "ms", 50.0, False),
    ("stream_memory_kb", "server memory for each stream", "KB", 64.0, False),
    ("slow_server_mb", "growth of the server, `yes` to a slow reader", "MB", 4.0, False),
    ("slow_agent_mb", "growth of the agent, `yes` to a slow reader", "MB", 4.0, False),
)

# Targets that compare two contenders: name -> (over, under).
RATIOS = {
    "atoll_to_raw": ("shell", "raw"),
    "docker_to_atoll": ("docker", "shell"),
    "exec_to_host": ("exec", "host-true"),
    "docker_to_exec": ("docker-exec", "exec"),
    "engine_to_exec": ("engine-exec", "exec"),
}


def merge(rounds):
    """Rounds of one measurement: counts are added, figures become their median."""
    merged = {}
    for key in dict.fromkeys(key for part in rounds for key in part):
        values = [part[key] for part in rounds if key in part]
        if isinstance(values[0], dict):
            merged[key] = merge(values)
        elif isinstance(values[0], str):
            merged[key] = next((value for value in values if value), "")
        elif key in SUMMED:
            merged[key] = sum(values)
        else:
            merged[key] = round(statistics.median(values), 1)
    return merged


def ratio_of_rounds(over, under):
    """Median of the ratios round by round: two figures of one round share the machine's mood."""
    pairs = [(a["p50_us"], b["p50_us"]) for a, b in zip(over, under)]
    ratios = [a / b for a, b in pairs if a and b]
    return round(statistics.median(ratios), 2) if ratios else None


def targets(latency, throughput, parts):
    """`latency`: name -> rounds; `throughput`: name -> parallel -> merged result; `parts`: name ->
    what harness/parts.py made."""
    values = {name: ratio_of_rounds(latency.get(over, []), latency.get(under, []))
              for name, (over, under) in RATIOS.items()}
    values["per_second_8"] = throughput.get("shell", {}).get("8", {}).get("per_second")
    values["exec_per_second_32"] = throughput.get("exec", {}).get("32", {}).get("per_second")
    for part in parts.values():
        values.update(part["values"])
    result = []
    for name, what, unit, bound, larger in TARGETS:
        value = values.get(name)
        if value is None:
            verdict = "not measured"
        elif bound is None:
            verdict = ""
        else:
            verdict = "PASS" if (value >= bound if larger else value <= bound) else "FAIL"
        result.append({"name": name, "what": what, "unit": unit, "target": bound,
                       "at": "least" if larger else "most", "value": value, "verdict": verdict})
    return result


def wanted(target):
    if target["target"] is None:
        return ""
    return f"{'≥' if target['at'] == 'least' else '≤'} {target['target']:g} {target['unit']}".rstrip()


def milliseconds(usec):
    return f"{usec / 1000:.2f}" if usec < 100000 else f"{usec / 1000:.0f}"


def grid(header, rows):
    """Columns aligned: the first to the left, the others to the right."""
    widths = [max(len(str(row[i])) for row in [header, *rows]) for i in range(len(header))]
    lines = []
    for row in [header, *rows]:
        cells = [str(cell).ljust(width) if i == 0 else str(cell).rjust(width)
                 for i, (cell, width) in enumerate(zip(row, widths))]
        lines.append("  ".join(cells).rstrip())
    lines.insert(1, "  ".join("-" * width for width in widths))
    return lines


def contender_rows(contenders):
    rows, notes = [], []
    for entry in contenders:
        if entry["absent"]:
            notes.append(f"absent: {entry['title']}: {entry['absent']}")
            continue
        latency, throughput = entry.get("latency", {}), entry.get("throughput", {})
        parts = [latency, *throughput.values()]
        errors = sum(part.get("errors", 0) for part in parts)
        if errors:
            first = next((p["first_error"] for p in parts if p.get("first_error")), "")
            notes.append(f"ERRORS: {entry['title']}: {errors} runs failed {first}".rstrip())
        cells = [milliseconds(latency[key]) if latency.get("n") and key in latency else "-"
                 for key in ("p50_us", "p95_us", "p99_us")]
        cells += [f"{throughput[p]['per_second']:.0f}" if p in throughput else "-"
                  for p in ("1", "8", "32")]
        rows.append([entry["title"] + (" (!)" if errors else ""), *cells])
    return rows, notes


def stage_rows(contenders):
    rows = []
    for entry in contenders:
        latency = entry.get("latency", {})
        for kind in ("steps", "stages"):
            for name, part in latency.get(kind, {}).items():
                label = f"{entry['name']}: {name}" if kind == "steps" else \
                    f"{entry['name']}: server stage {name}"
                rows.append([label, *[part.get(f"p{p}_us", 0) for p in (50, 95, 99)]])
    return rows


def table(results):
    """The whole report as lines of text."""
    host = results["host"]
    lines = [f"{host['date']}  commit {host['commit']}  {host['cpus']} cores, kernel "
             f"{host['kernel']}, {host['cgroups']}, rootfs {host['rootfs']}"]
    rows, notes = contender_rows(results["contenders"])
    if rows:
        lines += ["", *grid(["one run of `true` (or print)", "p50 ms", "p95 ms", "p99 ms", "1/s",
                             "8/s", "32/s"], rows)]
    stages = stage_rows(results["contenders"])
    if stages:
        lines += ["", *grid(["where the time goes (one at a time)", "p50 µs", "p95 µs", "p99 µs"],
                            stages)]
    for part in results["parts"].values():
        lines += ["", *grid(part["header"], part["rows"])]
    rows = [[t["what"], "-" if t["value"] is None else f"{t['value']} {t['unit']}".rstrip(),
             wanted(t), t["verdict"]]
            for t in results["targets"] if results["whole"] or t["value"] is not None]
    lines += ["", *grid(["target", "measured", "wanted", ""], rows)] if rows else []
    lines += ["", *notes] if notes else []
    lines += ["", *[f"FAILED: {text}" for text in results["failures"]]] if results["failures"] else []
    return lines


def write_results(results):
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")


def write_document():
    """Puts the last results into docs/benchmarks.md."""
    results = json.loads(RESULTS.read_text())
    text = DOCUMENT.read_text()
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    body = "\n".join(["", "```text", *table(results), "```", ""])
    DOCUMENT.write_text(before + BEGIN + body + END + after)
