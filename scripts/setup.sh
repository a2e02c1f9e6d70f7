# Sourced by quickstart.sh, test.sh and check.sh: makes .venv with the pinned packages, and puts it first on the path.
# A second call with nothing changed takes no time.

cd "$(dirname "${BASH_SOURCE[0]}")/.."

find_python() {
    local candidate
    for candidate in "${PYTHON:-}" python3 python3.13 python3.12 python3.11; do
        if [ -n "$candidate" ] && "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    echo "onnxlens needs Python 3.11 or newer; set PYTHON to one" >&2
    return 1
}

# install_packages EXTRAS: the package itself, editable, and what it needs, as constraints.txt pins it.
install_packages() {
    local extras="$1" python stamp wanted
    stamp=".venv/installed$extras"
    wanted="$(cat setup.cfg pyproject.toml constraints.txt | cksum)"
    if [ ! -x .venv/bin/python ]; then
        python="$(find_python)"
        "$python" -m venv .venv
    fi
    if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
        echo "installing the pinned packages into .venv" >&2
        .venv/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".$extras"
        echo "$wanted" > "$stamp"
    fi
    export PATH="$PWD/.venv/bin:$PATH"
}

# install_system PROGRAM PACKAGE: a system package, where this is root with apt and PROGRAM is missing.
install_system() {
    if command -v "$1" >/dev/null; then
        return
    fi
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "installing $2" >&2
        (apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$2") \
            >/dev/null 2>&1 || echo "could not install $2" >&2
    else
        echo "$1 is missing: install $2" >&2
    fi
}
