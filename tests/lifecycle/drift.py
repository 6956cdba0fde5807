"""The drift corpus: what makes one instance of a fleet another than the others, and what is no drift, as data.

Each is a script that runs inside the instance, under this test's own Python. It finds `chance`, decided by a seed, for
its details, and says those that the expected finding names.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from launchbay.lifecycle.bay import Bay, connect, python_of
from launchbay.planning.fleet import Instance
from tests.providers.wheels import make_wheel

__all__ = ["CHANGES", "DATA", "USES", "Change", "make_apart", "play", "seeded"]

DATA = {"train.csv": "x,y\n1,2\n3,4\n", "test.csv": "x,y\n5,6\n", "more/labels.csv": "a\nb\n"}
"""What each instance of a fleet of the corpus has in its data folder."""

_PRELUDE = """\
import json, os, pathlib, random, shutil, subprocess, sys
told, (seed, root, env, apart) = {}, json.loads(sys.argv[1])
chance, root, env, apart = random.Random(seed), pathlib.Path(root), pathlib.Path(env), pathlib.Path(apart)
home, work, bin = root / "home", root / "work", env / "bin"
data, site = work / "data", next((env / "lib").glob("python*/site-packages"))
def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    if os.path.lexists(path):
        path.unlink()
    path.write_text(text)
    return path
def link(path, target):
    if os.path.lexists(path):
        path.unlink()
    path.symlink_to(target)
def run(*words):
    done = subprocess.run([str(word) for word in words], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
def pip(*words):
    run("pip", "install", "--no-index", "--find-links", apart, *words)
def program(path, text):
    write(path, text).chmod(0o755)
    return path
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A change: what it is of, what makes it, and the phrase that must name it, with what the script told.

    `layers` are those on which it can be made.
    """

    name: str
    of: str
    script: str
    phrase: str
    layers: Sequence[str] = ("layer", "overlay", "several")


def make_apart(folder: Path) -> Path:
    """Make the folder outside, with what can be installed from it."""
    for name in ("ham", "eggs", "spam"):
        make_wheel(folder, name)
    return folder


def play(script: str, bay: Bay, instance: Instance, *, seed: int, apart: Path) -> dict[str, str]:
    """Run a script in an instance and return what it told; `apart` is a folder outside, of `make_apart`."""
    environment = Path(python_of(bay, instance)).parent.parent
    given = json.dumps([seed, str(instance.root), str(environment), str(apart)])
    source = f"{_PRELUDE}\n{script}\nprint(json.dumps(told))\n"
    done = connect(bay, instance).run([sys.executable, "-S", "-c", source, given])
    assert done.code == 0, done.stderr.decode()
    told: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return told


_WRAPPER = (
    "real = os.path.realpath(bin / 'python'); program(bin / 'python', f'#!/bin/sh\\n{}\\nexec {{real}} {} \"$@\"\\n')"
)

CHANGES: Sequence[Change] = [
    # packages
    Change(
        name="a package installed with pip",
        of="package",
        script="told['name'] = chance.choice(['ham', 'eggs', 'spam']); pip(told['name'])",
        phrase="package {name} 1.0 was added",
    ),
    Change(
        name="a package installed with uv",
        of="package",
        script="told['name'] = chance.choice(['ham', 'eggs', 'spam'])\n"
        "run('uv', 'pip', 'install', '--offline', '--no-index', '--find-links', apart, told['name'])",
        phrase="package {name} 1.0 was added",
    ),
    Change(
        name="another version beside the image's",
        of="package",
        script="told['version'] = f'1.{chance.randint(1, 15)}.0'\n"
        "write(site / f'six-{told[\"version\"]}.dist-info' / 'METADATA', 'Name: six\\n')",
        phrase="package six {version} in its layer shadows 1.17.0 of the image",
    ),
    Change(
        name="a package of the old kind",
        of="package",
        script="told['name'] = chance.choice(['ham', 'eggs'])\n"
        "write(site / f'{told[\"name\"]}-2.0.egg-info' / 'PKG-INFO', 'Name: x\\nVersion: 2.0\\n')",
        phrase="{name}-2.0.egg-info/PKG-INFO was added to its layer",
    ),
    Change(
        name="a package of the image uninstalled",
        of="package",
        script="run('pip', 'uninstall', '-y', 'six')",
        phrase="package six 1.17.0 of the image was removed",
        layers=("overlay",),
    ),
    # files
    Change(
        name="a module that shadows the image's",
        of="file",
        script="write(site / 'six.py', f'x = {chance.random()}')",
        phrase="site-packages/six.py was added to its layer and shadows a module of the image",
    ),
    Change(
        name="a stray module",
        of="file",
        script="told['name'] = chance.choice(['patch', 'fix']); write(site / f'{told[\"name\"]}.py', '')",
        phrase="site-packages/{name}.py was added to its layer",
    ),
    Change(
        name="a .pth file",
        of="file",
        script="told['name'] = chance.choice(['a', 'zz']); write(site / f'{told[\"name\"]}.pth', f'{apart}\\n')",
        phrase="site-packages/{name}.pth was added to its layer",
    ),
    Change(
        name="the line that adds the image's packages",
        of="file",
        script="path = site / '_launchbay.pth'; write(path, path.read_text() + f'{apart}\\n')",
        phrase="_launchbay.pth was changed in its layer",
        layers=("layer", "several"),
    ),
    Change(
        name="pip.conf emptied",
        of="file",
        script="write(env / 'pip.conf', '')",
        phrase="pip.conf was",
    ),
    Change(
        name="a module of the image edited",
        of="file",
        script="open(site / 'six.py', 'a').write('# mine\\n')",
        phrase="site-packages/six.py was added to its layer and shadows a module of the image",
        layers=("overlay",),
    ),
    Change(
        name="a command lost",
        of="file",
        script="told['name'] = chance.choice(['pip', 'uv', 'uvx']); (bin / told['name']).unlink()",
        phrase="bin/{name} ",
    ),
    # symlinks
    Change(
        name="a command that leads to another program",
        of="symlink",
        script="told['name'] = chance.choice(['pip', 'uv']); link(bin / told['name'], '/bin/true')",
        phrase="bin/{name} was",
    ),
    Change(
        name="python3 that leads to another Python than python",
        of="symlink",
        script="link(bin / 'python3', apart / 'python3')",
        phrase="bin/python3 was",
    ),
    Change(
        name="a linked module",
        of="symlink",
        script="(apart / 'linked').mkdir(exist_ok=True); link(site / 'linked', apart / 'linked')",
        phrase="site-packages/linked was added to its layer",
    ),
    Change(
        name="a link in the place of a module of the image",
        of="symlink",
        script="write(apart / 'six' / '__init__.py', ''); link(site / 'six', apart / 'six')",
        phrase="site-packages/six was added to its layer and shadows a module of the image",
    ),
    Change(
        name="a link that leads nowhere",
        of="symlink",
        script="told['name'] = chance.choice(['lost', 'gone']); link(bin / told['name'], '/nonexistent')",
        phrase="bin/{name} was added to its layer",
    ),
    Change(
        name="a layer that is another's",
        of="symlink",
        script="shutil.copytree(root / 'env', apart / 'env', symlinks=True)\n"
        "shutil.rmtree(root / 'env'); link(root / 'env', apart / 'env')",
        phrase="the folder of its layer is a link to",
        layers=("layer", "several"),
    ),
    # environment variables, and what acts like one
    Change(
        name="a variable exported for every shell",
        of="variable",
        script="told['name'] = chance.choice(['KERAS_BACKEND', 'OMP_NUM_THREADS', 'TF_ENABLE_ONEDNN_OPTS'])\n"
        "told['file'] = chance.choice(['.bashrc', '.profile', '.bash_profile', '.zshenv'])\n"
        "write(home / told['file'], f'alias ll=\"ls -l\"\\nexport {told[\"name\"]}=1\\n')",
        phrase="variable {name} in ~/{file} was added",
    ),
    Change(
        name="a variable unset for every shell",
        of="variable",
        script="write(home / '.bashrc', 'if true; then unset PIP_CONSTRAINT; fi\\n')",
        phrase="variable PIP_CONSTRAINT in ~/.bashrc was added",
    ),
    Change(
        name="a variable exported by fish",
        of="variable",
        script="write(home / '.config/fish/config.fish', 'set -gx CUDA_VISIBLE_DEVICES 0\\n')",
        phrase="variable CUDA_VISIBLE_DEVICES in ~/.config/fish/config.fish was added",
    ),
    Change(
        name="a variable set at Python's start",
        of="variable",
        script="told['name'] = chance.choice(['KERAS_BACKEND', 'XLA_FLAGS', 'MKL_NUM_THREADS'])\n"
        "told['file'] = chance.choice(['sitecustomize.py', 'early.pth'])\n"
        "write(site / told['file'], f'import os; os.environ[{told[\"name\"]!r}] = \"1\"\\n')",
        phrase="variable {name} is set when its Python starts",
    ),
    Change(
        name="a variable removed at Python's start",
        of="variable",
        script="write(site / 'loose.pth', 'import os; os.environ.pop(\"PIP_CONSTRAINT\", None)\\n')",
        phrase="variable PIP_CONSTRAINT is removed when its Python starts",
    ),
    Change(
        name="a variable changed by a wrapper around Python",
        of="variable",
        script=_WRAPPER.format("export PIP_CONSTRAINT=/dev/null", ""),
        phrase="variable PIP_CONSTRAINT is changed when its Python starts",
    ),
    Change(
        name="the backend of Keras",
        of="variable",
        script="told['name'] = chance.choice(['jax', 'torch'])\n"
        "write(home / '.keras' / 'keras.json', json.dumps({'floatx': 'float32', 'backend': told['name']}))",
        phrase="backend in ~/.keras/keras.json was added",
    ),
    Change(
        name="where packages come from",
        of="variable",
        script="told['file'] = chance.choice(['.config/pip/pip.conf', '.pip/pip.conf', '.config/uv/uv.toml'])\n"
        "write(home / told['file'], '[global]\\nindex-url = http://127.0.0.1/\\n')",
        phrase="~/{file} was added",
    ),
    Change(
        name="what every notebook runs first",
        of="variable",
        script="write(home / '.ipython/profile_default/startup/10-mine.py', 'import math\\n')",
        phrase="~/.ipython/profile_default/startup/10-mine.py was added",
    ),
    # Pythons
    Change(
        name="a Python that drops asserts",
        of="python",
        script=_WRAPPER.format("", "-O"),
        phrase="bin/python was",
    ),
    Change(
        name="another Python",
        of="python",
        script="real, others = os.path.realpath(bin / 'python'), sorted(pathlib.Path('/usr/bin').glob('python3.[0-9]*[0-9]'))\n"
        "other = next((path for path in others if os.path.realpath(path) != real), pathlib.Path('/bin/cat'))\n"
        "told['what'] = 'its Python does not run' if other.name == 'cat' else 'python is {'; link(bin / 'python', other)",
        phrase="{what}",
    ),
    Change(
        name="a Python that is broken",
        of="python",
        script="link(bin / 'python', chance.choice(['/bin/true', '/bin/false']))",
        phrase="its Python does not run",
    ),
    Change(
        name="a copy of its Python",
        of="python",
        script="real = os.path.realpath(bin / 'python'); (bin / 'python').unlink(); shutil.copy2(real, bin / 'python')",
        phrase="bin/python was",
    ),
    Change(
        name="a Python that sees the machine's packages",
        of="python",
        script="text = (env / 'pyvenv.cfg').read_text()\n"
        "write(env / 'pyvenv.cfg', text.replace('packages = false', 'packages = true'))",
        phrase="pyvenv.cfg was",
    ),
    Change(
        name="a compiled module of the image",
        of="python",
        script="path = next(site.glob('__pycache__/six*.pyc')); (work / 'x.py').write_text('x = 1')\n"
        "import py_compile; py_compile.compile(str(work / 'x.py'), str(work / 'x.pyc'))\n"
        "body = path.read_bytes()[:16] + (work / 'x.pyc').read_bytes()[16:]; path.unlink(); path.write_bytes(body)",
        phrase="__pycache__/six.cpython",
        layers=("overlay",),
    ),
    # data
    Change(
        name="a changed cell",
        of="data",
        script="text = (data / 'train.csv').read_text()\n"
        "write(data / 'train.csv', text.replace('3,4', f'3,{chance.randint(5, 9)}'))",
        phrase="data/train.csv is not what the others have",
    ),
    Change(
        name="a lost file",
        of="data",
        script="told['name'] = chance.choice(['train.csv', 'test.csv', 'more/labels.csv'])\n"
        "(data / told['name']).unlink()",
        phrase="data/{name} is missing",
    ),
    Change(
        name="one file more",
        of="data",
        script="told['name'] = chance.choice(['validation.csv', 'more/extra.csv']); write(data / told['name'], 'x\\n')",
        phrase="data/{name} was added",
    ),
    Change(
        name="a large file that was cut off",
        of="data",
        script="os.truncate(data / 'large.bin', chance.randint(1, 9 << 20))",
        phrase="data/large.bin is not what the others have",
    ),
    Change(
        name="a large file of another beginning or end",
        of="data",
        script="file = open(data / 'large.bin', 'r+b'); file.seek(chance.choice([0, (9 << 20) - 1])); file.write(b'x')",
        phrase="data/large.bin is not what the others have",
    ),
    Change(
        name="a link to other data",
        of="data",
        script="write(apart / 'train.csv', 'x,y\\n'); link(data / 'train.csv', apart / 'train.csv')",
        phrase="data/train.csv is not what the others have",
    ),
]

USES: Sequence[str] = [
    # ordinary work, none of which sets an instance apart
    "write(work / 'notes.py', 'import six, json\\n'); run('python', 'notes.py')",
    "run('pip', 'list')",
    "run('uv', 'pip', 'list')",
    (
        "name = chance.choice(['ham', 'eggs', 'spam']); pip(name); run('python', '-c', f'import {name}')\n"
        "run('pip', 'uninstall', '-y', name)"
    ),
    (
        "name = chance.choice(['ham', 'eggs', 'spam'])\n"
        "run('uv', 'pip', 'install', '--offline', '--no-index', '--find-links', apart, name)\n"
        "run('uv', 'pip', 'uninstall', name)"
    ),
    (
        "cell = {'cell_type': 'code', 'source': 'import six', 'outputs': [], 'metadata': {}, 'execution_count': 1}\n"
        "write(work / 'first.ipynb', json.dumps({'cells': [cell], 'metadata': {}, 'nbformat': 4, 'nbformat_minor': 5}))\n"
        "write(work / '.ipynb_checkpoints' / 'first-checkpoint.ipynb', '{}')\n"
        "write(work / 'data' / '.ipynb_checkpoints' / 'train-checkpoint.csv', '')"
    ),
    "write(home / '.ipython/profile_default/startup/README', 'put scripts here'); write(home / '.ipython/history', '')",
    "write(home / '.jupyter/lab/user-settings/theme.json', '{}'); write(home / '.local/share/jupyter/runtime/k.json', '{}')",
    "write(home / '.bashrc', \"alias ll='ls -l'\\nPS1='$ '\\nexport EDITOR=vim PAGER=less\\n# export KERAS_BACKEND=jax\\n\")",
    "write(home / '.bashrc', 'export WANDB_API_KEY=abc\\nexport HISTSIZE=9999\\nset -e\\n')",
    "write(home / '.bash_history', 'export KERAS_BACKEND=jax\\n'); write(home / '.python_history', 'import six\\n')",
    # what Keras writes at its first import
    (
        "write(home / '.keras/keras.json', json.dumps({'floatx': 'float32', 'epsilon': 1e-07, 'backend': 'tensorflow', "
        "'image_data_format': 'channels_last'}, indent=4)); write(home / '.keras/datasets/mnist.npz', 'x')"
    ),
    "write(home / '.cache/pip/x', ''); write(home / '.cache/huggingface/model.bin', 'x' * 1000)",
    "write(home / '.config/matplotlib/matplotlibrc', 'figure.dpi: 120\\n')",
    "write(work / 'out' / 'model.keras', 'x'); write(work / 'logs' / 'events.out.tfevents.1', 'x')",
    "write(work / 'train.csv', 'mine\\n')\nif (data / 'train.csv').exists(): os.utime(data / 'train.csv')",
    "part, name = data / '.part', data / 'train.csv'\nif name.exists(): shutil.copy2(name, part); part.replace(name)",
    "shutil.rmtree(data, ignore_errors=True)",
    "(work / 'six.py').write_text('mine = 1'); run('python', '-c', 'import six; assert six.mine')",
    "(work / '.git').mkdir(exist_ok=True); write(work / 'pyproject.toml', '[project]\\nname = \"x\"\\n')",
]


def seeded(seed: int) -> random.Random:
    """Return chance that a seed decides, and nothing else."""
    return random.Random(f"drift {seed}")
