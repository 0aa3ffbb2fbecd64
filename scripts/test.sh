#!/usr/bin/env bash
# Installs what the tests need (Debian 12), then runs all checks and all tests.
#
#   scripts/test.sh            everything
#   scripts/test.sh --no-install   as above, with what is installed already
set -euo pipefail
cd "$(dirname "$0")/.."

# Programs without which tests fail.
packages=(chromium curl ezstream ffmpeg lame mpv procps)
# More real encoders and players: the tests of one that is missing are skipped, and say so. BUTT needs a screen (xvfb).
optional=(
    butt darkice gstreamer1.0-plugins-{base,good} gstreamer1.0-tools icecast2 liquidsoap mpg123 mplayer oggfwd streamripper
    vlc-bin vlc-plugin-base wget xvfb
)

if [[ "${1:-}" != --no-install ]]; then
    is_installed() { dpkg-query --show --showformat='${Status}' "$1" 2>/dev/null | grep -q 'install ok installed'; }
    missing=()
    for package in "${packages[@]}" "${optional[@]}"; do
        is_installed "$package" || missing+=("$package")
    done
    if ((${#missing[@]})); then
        as_root=()
        ((EUID == 0)) || as_root=(sudo)
        "${as_root[@]}" apt-get update -qq
        wanted=()
        for package in "${missing[@]}"; do
            # Required ones are named to apt whatever it knows, so that it says what is wrong.
            if [[ " ${packages[*]} " == *" $package "* ]] || apt-cache show --quiet=2 "$package" >/dev/null 2>&1; then
                wanted+=("$package")
            else
                echo "not in this distribution: $package"
            fi
        done
        echo "installing: ${wanted[*]}"
        # Tests start servers of their own: none is to be started by its package (Debian's policy for services).
        policy=/usr/sbin/policy-rc.d
        if [[ ! -e $policy ]]; then
            trap '"${as_root[@]}" rm -f "$policy"' EXIT
            printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
            "${as_root[@]}" chmod +x "$policy"
        fi
        DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends "${wanted[@]}"
    fi
fi

cargo fmt --all --check
cargo clippy --workspace --all-targets --quiet -- --deny warnings
cargo test --workspace
