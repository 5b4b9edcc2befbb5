"""What a daemon's memory does while something happens."""


def resident_kb(pid, field="VmRSS"):
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(field))


def peak_growth(pid, work):
    """By how many KB the process was above its present resident memory at most."""
    with open(f"/proc/{pid}/clear_refs", "w") as peak:
        peak.write("5")  # VmHWM begins anew: proc(5)
    before = resident_kb(pid)
    work()
    return resident_kb(pid, "VmHWM") - before
