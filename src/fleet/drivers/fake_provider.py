#!/usr/bin/env python3
"""A provider's command-line program for tests: fake_provider.py DIR start|stop|list|status ARGS.

DIR/machines/ID.json are the machines; DIR/plan/VERB holds one behaviour a line, each used by one call and then gone;
DIR/always/VERB holds one for all calls without a planned one. DIR/calls gets a line for each call.
"""
import json
import os
import sys
import time
from pathlib import Path

directory, verb, args = Path(sys.argv[1]), sys.argv[2], sys.argv[3:]
machines = directory / "machines"
machines.mkdir(exist_ok=True)


def behaviour():
    plan = directory / "plan" / verb
    lines = plan.read_text().split() if plan.exists() else []
    if lines:
        plan.write_text("\n".join(lines[1:]))
        return lines[0]
    always = directory / "always" / verb
    return always.read_text().strip() if always.exists() else "ok"


def save(machine):
    path = machines / (machine["Id"] + ".json")
    path.with_suffix(".new").write_text(json.dumps(machine))
    path.with_suffix(".new").rename(path)


def make(owner, instance, kind, state, late):
    number = len((directory / "calls").read_text().splitlines())
    suffix = len(list(machines.glob("*.json")))
    machine = {"Id": f"m-{number}-{suffix}", "Type": kind, "State": state, "Late": late, "Ip": "10.0.0.7",
               "Tags": [{"Key": "owner", "Value": owner}, {"Key": "dormouse", "Value": instance}]}
    save(machine)
    with open(directory / "made", "a") as made:
        made.write(f"{machine['Id']} {kind} {instance}\n")
    return machine


def misbehave(how):
    if how == "hang":
        time.sleep(1000)
    if how == "nonsense":
        print("<html>502 Bad Gateway</html>")
        sys.exit(0)
    if how == "huge":
        sys.stdout.write("x" * 10_000_000)
        sys.exit(0)
    if how == "fail":
        sys.exit("ServiceUnavailable: try again")


def start(how, owner, instance, kind):
    late = int(how.partition(":")[2] or 0)
    how = how.partition(":")[0]
    if how in ("fail", "hang_before"):
        misbehave(how.removesuffix("_before"))
    if how == "refused" or (how == "no_big" and kind == "big"):
        sys.exit("OperationDenied.NoStock: sold out")
    if how == "silent":
        print("{}")
        return
    state = {"stopped": "Stopped", "pending": "Pending"}.get(how, "Running")
    made = make(owner, instance, kind, state, late)
    if how == "twice":
        make(owner, instance, kind, state, late)
        print(json.dumps({"Instances": [made]}))
    if how in ("lose_reply", "late"):
        sys.exit("connection reset by peer, lease " + os.environ.get("DORMOUSE_LEASE", "unknown"))
    misbehave(how)
    print(json.dumps({"Instances": [made]}))


def listed(how, owner):
    misbehave(how)
    out = []
    for path in sorted(machines.glob("*.json")):
        machine = json.loads(path.read_text())
        if machine["Late"] > 0:
            machine["Late"] -= 1
            save(machine)
        elif machine["Tags"][0]["Value"] == owner:
            out.append(machine)
    print(json.dumps({"Machines": out}))


def stop(how, machine_id):
    misbehave(how)
    if how != "ignore":
        (machines / (machine_id + ".json")).unlink(missing_ok=True)


def status(how, machine_id):
    misbehave(how)
    path = machines / (machine_id + ".json")
    if not path.exists():
        sys.exit("InvalidInstanceId.NotFound")
    print(path.read_text())


with open(directory / "calls", "a") as calls:
    calls.write(" ".join([verb, *args]) + "\n")
{"start": start, "list": listed, "stop": stop, "status": status}[verb](behaviour(), *args)
