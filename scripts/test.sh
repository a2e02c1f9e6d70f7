#!/usr/bin/env bash
# Sets up everything on a fresh machine, then runs the checks and the tests. Arguments go to pytest.
set -euo pipefail
source "$(dirname "$0")/setup.sh"
install_packages "[test]"
install_system dot graphviz
install_system node nodejs
install_system chromium chromium

# Beside the tests: mypy keeps one core busy for a minute.
checks="$(mktemp)"
bash scripts/check.sh > "$checks" 2>&1 &
checking=$!

# Many tests start Python: what one process has compiled the others read.
unset PYTHONDONTWRITEBYTECODE
# Two processes: most tests trace or count on one core. A file stays in one of them, for what its tests share.
status=0
python -m pytest -n 2 --dist loadfile "$@" || status=$?
wait "$checking" || status=1
cat "$checks"
rm "$checks"
exit "$status"
