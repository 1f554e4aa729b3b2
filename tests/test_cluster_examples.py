"""The examples of docs/scaling.md: files that their programs can read, and commands that exist."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml
from typer.main import get_command

from snellen.classifiers.spec import parse_spec
from snellen.cli import app
from snellen.datasets.spec import parse_name

DOCS = Path(__file__).resolve().parents[1] / "docs"
SLURM, KUBERAY = DOCS / "cluster" / "slurm.sh", DOCS / "cluster" / "kuberay.yaml"


def commands(text):
    """Every `snellen …` command of a text, its continued lines joined, up to a pipe or an ampersand."""
    joined = re.sub(r"\\\n\s*", "", text)
    for line in re.findall(r"^\s*(snellen (?:study|eval|tta) .*)$", joined, re.MULTILINE):
        words = shlex.split(line)
        yield words[: words.index("&")] if "&" in words else words


def check(words):
    """A command is one that the command line would take: its options, its models, its data."""
    name, *arguments = words[1:]
    known = get_command(app).commands[name]
    context = known.make_context(name, list(arguments), resilient_parsing=True)
    options = {option for parameter in known.params for option in parameter.opts}
    for word in arguments:
        assert not word.startswith("-") or word in options, word
    for spec in context.params["model"]:
        assert parse_spec(spec).kind in ("torchvision", "timm", "open_clip")
    assert parse_name(context.params["data"]) is not None
    return context.params


def test_the_slurm_script_is_one():
    done = subprocess.run(["bash", "-n", SLURM], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    text = SLURM.read_text()
    directives = re.findall(r"^#SBATCH (--[\w-]+)=?", text, re.MULTILINE)
    assert {"--nodes", "--ntasks-per-node", "--gpus-per-node", "--requeue", "--signal"} <= set(directives)
    # Slurm reads directives up to the first command.
    assert text.index("set -euo") > text.rindex("#SBATCH")
    (words,) = commands(text)
    given = check(words)
    assert len(given["model"]) == 6
    assert (given["engine"], given["ray_address"]) == ("ray", "$address")


def run_slurm(tmp_path, **programs):
    """The Slurm script with stand-ins for Slurm's programs, Ray's and ours: its process, and what it started."""
    shared, tools, log = tmp_path / "shared", tmp_path / "bin", tmp_path / "log"
    (shared / "venv" / "bin").mkdir(parents=True)
    (shared / "venv" / "bin" / "activate").write_text("")
    tools.mkdir()
    stand_ins = {
        "scontrol": 'if [ "$1" = show ]; then printf "n1\\nn2\\nn3\\n"; else echo "scontrol $*" >> "$LOG"; fi',
        # Ray's steps last as long as the job: here until the script has ended, and for a minute at most.
        "srun": 'echo "srun $*" >> "$LOG"; exec &> /dev/null; '
        "for _ in {1..1200}; do kill -0 $PPID 2> /dev/null || break; sleep 0.05; done",
        "ray": "true",
        **{name: f'echo "{name} $*" >> "$LOG"; {body}' for name, body in programs.items()},
    }
    for name, body in stand_ins.items():
        (tools / name).write_text(f"#!/bin/bash\n{body}\n")
        (tools / name).chmod(0o755)
    script = tmp_path / "slurm.sh"
    text = SLURM.read_text().replace("shared=/shared/snellen", f"shared={shared}")
    script.write_text(text.replace("patience=300", "patience=2"))
    slurm = {"SLURM_JOB_NODELIST": "n[1-3]", "SLURM_JOB_ID": "12345", "SLURM_GPUS_ON_NODE": "8", "SLURM_NNODES": "3"}
    environment = {"PATH": f"{tools}:/usr/bin:/bin", "LOG": str(log), "SLURM_CPUS_PER_TASK": "64", **slurm}
    done = subprocess.run(["bash", script], env=environment, capture_output=True, text=True, check=False, timeout=120)
    return done, log.read_text().splitlines()


@pytest.mark.parametrize(("code", "requeued"), [(0, False), (3, True), (1, False)])
@pytest.mark.parametrize("told", [False, True])
def test_the_slurm_script_runs_and_queues_itself_again(code, requeued, told, tmp_path):
    told_to_end = f"trap 'exit {code}' TERM; kill -TERM $PPID; while true; do sleep 0.05; done"
    done, said = run_slurm(tmp_path, snellen=told_to_end if told else f"exit {code}")
    assert done.returncode == code, done.stderr
    assert ("scontrol requeue 12345" in said) == requeued
    head, others = (next(line for line in said if mark in line) for mark in ("--nodelist=n1", "--exclude=n1"))
    assert "ray start --head --port=22345 --num-cpus=64 --num-gpus=8 --block" in head
    assert "--nodes=2 --ntasks=2" in others
    assert "ray start --address=n1:22345 --num-cpus=64 --num-gpus=8 --block" in others
    assert any("--engine ray --ray-address n1:22345 --workers 24" in line for line in said)


def test_told_to_end_before_there_is_a_study_the_slurm_script_queues_itself_again(tmp_path):
    # `timeout` stands between the script and `ray status`.
    told = 'kill -TERM "$(ps -o ppid= -p $PPID)"; exit 1'
    done, said = run_slurm(tmp_path, ray=told, snellen="exit 0")
    assert done.returncode == 3, done.stderr
    assert said[-1] == "scontrol requeue 12345"
    assert not any(line.startswith("snellen") for line in said)


def test_a_study_that_is_told_to_end_before_it_can_listen_is_queued_again(tmp_path):
    done, said = run_slurm(tmp_path, snellen="kill -TERM $PPID; while true; do sleep 0.05; done")
    assert done.returncode == 3, done.stderr
    assert said[-1] == "scontrol requeue 12345"


@pytest.mark.parametrize("head", ["true", "exit 1"])
def test_without_ray_the_slurm_script_ends_in_time(head, tmp_path):
    """Whether its head never answers, or is not even there."""
    more = {"srun": head} if head != "true" else {}
    done, said = run_slurm(tmp_path, ray="exit 1", snellen="exit 0", **more)
    assert done.returncode == 1
    assert re.match(r"no Ray on n1 after \d+ s; ", done.stderr.splitlines()[-1])
    assert not any(line.startswith(("snellen", "scontrol")) for line in said)


def test_the_kubernetes_example_is_a_ray_job():
    (job,) = yaml.safe_load_all(KUBERAY.read_text())
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    cluster = job["spec"]["rayClusterSpec"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    for group in groups:
        (container,) = group["template"]["spec"]["containers"]
        assert container["image"]
        assert container["resources"]["limits"] == container["resources"]["requests"]
        mounts = {mount["name"] for mount in container.get("volumeMounts", [])}
        assert mounts == {volume["name"] for volume in group["template"]["spec"].get("volumes", [])}
    assert cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    given = check(shlex.split(job["spec"]["entrypoint"]))
    assert given["engine"] == "ray"
    workers = cluster["workerGroupSpecs"][0]
    gpus = int(workers["template"]["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"])
    assert int(given["workers"]) == gpus * workers["maxReplicas"]


def test_the_commands_of_the_page_exist():
    found = list(commands((DOCS / "scaling.md").read_text()))
    assert len(found) >= 2
    for words in found:
        check(words)
