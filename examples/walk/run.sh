#!/usr/bin/env bash
# The whole experiment on EC2, from the search for an image to nothing left, rehearsed on the twin: no account, no money.
#
#   examples/walk/run.sh [FOLDER]
#
# It works in FOLDER (default: a new one below the system's folder for such), with a Launchbay home of its own in it, and prints
# each command before it runs it. The last line is JSON: what is left, and what it would have cost by our bill and by the meter.
# COUNT, TYPE, EPOCHS and DATA (a folder with train.csv, validation.csv and test.csv) change what it does.
set -euo pipefail

count=${COUNT:-20} type=${TYPE:-p3.2xlarge} epochs=${EPOCHS:-50}
here=$(cd "$(dirname "$0")" && pwd)
bay=${BAY:-$(command -v bay || echo "$here/../../.venv/bin/bay")}
folder=${1:-$(mktemp -d)}
mkdir -p "$folder/out" && cd "$folder" && chmod 755 .
export LAUNCHBAY_HOME="$PWD/home" LAUNCHBAY_NO_BROWSER=1
mkdir -p home && chmod 755 home

say() { printf '\n\033[1m$ bay %s\033[0m\n' "$*" >&2; }
run() { say "$@"; "$bay" "$@" >&2; }
keep() { local name=$1; shift; say "$@"; "$bay" --json "$@" >"out/$name.json"; }
pick() { python3 -c 'import json, sys; value = json.load(open(sys.argv[1]))
for key in sys.argv[2].split("."): value = value[int(key)] if key.lstrip("-").isdigit() else value[key]
print(value)' "out/$1.json" "$2"; }
finish() { "$bay" -y twin stop --forget >/dev/null 2>&1 || true; }
trap finish EXIT

# a twin whose instances run at once: EC2 bills from `running` on and tells nobody when that was, so only then are bill and meter the
# same to the cent; with its usual seconds of `pending` our bill is as much higher
run twin start --clock virtual --instant

# 1, 2: which image; 4: which type; 5: what it costs
run images --provider twin deep learning base gpu ubuntu
keep images images --provider twin deep learning base gpu ubuntu
run types compare p2.xlarge "$type" g5.xlarge
run image build tensorflow

# 3, 7 to 12: the project, its people, and twenty at once: the plan, then the launch
[ -e train.py ] || "$bay" init . >&2
for person in $(seq 1 "$count"); do
    [ -e "keys/person-$person" ] || { mkdir -p keys; ssh-keygen -q -t ed25519 -N '' -C "person-$person" -f "keys/person-$person"; }
done
{
    printf 'name: class\nimage: tensorflow\ncount: %s\nscript: train.py\ndata: data\nargs: ["--epochs", "%s"]\n' "$count" "$epochs"
    printf 'provider: twin\ntype: %s\ndisk: 100GiB\nvolumes: ["35GiB:/data"]\nttl: 8h\npeople:\n' "$type"
    for person in $(seq 1 "$count"); do printf -- '  - {name: person-%s, key: keys/person-%s.pub}\n' "$person" "$person"; done
} >bay.yaml
run plan -o plan.json
keep launch apply plan.json -y
run ps
keep verify verify class
keep share share class

# 16: data with a checksum
mkdir -p source
for part in train validation test; do cp "${DATA:-data}/$part.csv" "source/$part.csv"; done
rm -rf data
for part in train validation test; do
    keep "fetch-$part" fetch "source/$part.csv" -o data --sha256 "$(sha256sum "source/$part.csv" | cut -d' ' -f1)"
done

# 17, 18: the script as it is, on one of them; its curves and its board
keep train train class-1
run=$(pick train run)
keep curves curves "$run"
run curves "$run"
keep board board class-1
keep notebook notebook class-1
for service in board notebook; do # the board asks for its token first: 401 is its door
    answer=$(curl --silent --max-time 20 --output /dev/null --write-out '%{http_code}' --location "$(pick "$service" url)")
    printf '%s answers: %s\n' "$service" "$answer" >&2
    case $answer in 200 | 401) ;; *) exit 1 ;; esac
done

# 21, 22: the model
run model show "$run"
keep evaluate evaluate "$run" --data data/test.csv
keep predict predict "$run" --data data/test.csv --rows 0:5

# 15: bake one of them, so that the next launch has nothing to install
keep bake image bake class-1 -y

# another image under all of them, once nothing runs in them
run notebook class-1 --stop
run board class-1 --stop
printf 'seaborn\n' >more.txt
printf 'extends: tensorflow\nrequirements: more.txt\n' >course.yaml
run image build ./course.yaml
keep update update class ./course.yaml
run exec class-2 -- python -c 'import seaborn; print(seaborn.__version__)'

# 24: nothing that costs stays
keep end terminate class -y
for baked in $(pick bake machine_image); do run image remove "$baked" --provider twin -y; done
run runs
keep bill twin bill
"$bay" --json twin status >out/status.json
python3 - "$count" <<'END'
import json, sys

def read(name):
    with open(f"out/{name}.json") as file:
        return json.load(file)

bill, launch, end = read("bill"), read("launch"), read("end")
left = read("status")["left"]  # by the twin's own truth, not by what we keep
evaluate = read("evaluate")
last = {
    "left": left,
    "running": bill["running"],
    "launched": len(launch["instances"]),
    "identical": launch["identical"],
    "verified": read("verify")["identical"],
    "shared": len(read("share")["people"]),
    "run": read("train")["state"],
    "rmse": evaluate["rmse"],
    "predictions": len(read("predict")["predictions"]),
    "ours_usd": end["cost_so_far"],
    "meter_usd": bill["usd"],
}
print(json.dumps(last))
sys.exit(0 if last["left"] == last["running"] == 0 and last["launched"] == int(sys.argv[1]) else 1)
END
