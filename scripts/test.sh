#!/usr/bin/env bash
# Installs what the tests need (Debian 12), then runs all checks and all tests.
#
#   scripts/test.sh            everything
#   scripts/test.sh --no-install   as above, with what is installed already
set -euo pipefail
cd "$(dirname "$0")/.."

# Real encoders and players that the end-to-end tests drive.
packages=(chromium curl ezstream ffmpeg lame mpv procps)

if [[ "${1:-}" != --no-install ]]; then
    missing=()
    for package in "${packages[@]}"; do
        dpkg-query --show --showformat='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
    done
    if ((${#missing[@]})); then
        echo "installing: ${missing[*]}"
        as_root=()
        ((EUID == 0)) || as_root=(sudo)
        "${as_root[@]}" apt-get update -qq
        DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}"
    fi
fi

cargo fmt --all --check
cargo clippy --workspace --all-targets --quiet -- --deny warnings
cargo test --workspace
