"""Release builds of other revisions. They stay in .build/against/COMMIT."""

import os
import pathlib
import shutil
import subprocess
import sys

from benchmarks.programs import ROOT, fail, say


def git(*arguments):
    result = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)
    return fail(f"git {' '.join(arguments)}: {result.stderr.strip()}") if result.returncode else result.stdout.strip()


def build_of(revision):
    """Returns the short name and the executable of a revision. Builds it if necessary, with the revision's own script and
    this build's package versions. `revision` may be the path of an executable instead."""
    if os.path.isfile(revision) and os.access(revision, os.X_OK):
        return os.path.basename(revision), os.path.abspath(revision)
    commit = git("rev-parse", "--verify", f"{revision}^{{commit}}")
    folder = ROOT / ".build/against" / commit
    binary = folder / ".build/release/luciq"
    if not binary.exists():
        say(f"building {revision}, which takes several minutes")
        build(commit, folder)
    return git("rev-parse", "--short", commit), str(binary)


def build(commit, folder):
    if not folder.exists():
        unpacked = pathlib.Path(f"{folder}.new")
        shutil.rmtree(unpacked, ignore_errors=True)
        unpacked.mkdir(parents=True)
        with subprocess.Popen(["git", "archive", commit], cwd=ROOT, stdout=subprocess.PIPE) as archive:
            subprocess.run(["tar", "-x", "-C", unpacked], stdin=archive.stdout, check=True)
        unpacked.rename(folder)
    versions = "Package.resolved"
    if not (folder / versions).exists() and (ROOT / versions).exists():
        shutil.copy(ROOT / versions, folder)
    # Old revisions have no scripts/release.
    has_script = (folder / "scripts/release").exists()
    command = ["scripts/release"] if has_script else ["swift", "build", "-c", "release", "--product", "luciq"]
    if subprocess.run(command, cwd=folder, stdout=sys.stderr).returncode:
        fail(f"{commit} does not build; see above.")
