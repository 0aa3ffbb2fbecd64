#!/usr/bin/env bash
# Installs what the tests need (Debian 12), then runs all checks and all tests.
#
#   scripts/test.sh            everything
#   scripts/test.sh --no-install   as above, with what is installed already
set -euo pipefail
cd "$(dirname "$0")/.."

# Programs without which tests fail.
packages=(ca-certificates chromium curl ezstream ffmpeg lame mpv procps)
# More real encoders and players: the tests of one that is missing are skipped, and say so. BUTT needs a screen (xvfb).
optional=(
    butt darkice faketime gstreamer1.0-plugins-{bad,base,good} gstreamer1.0-tools icecast2 liquidsoap mpg123 mplayer oggfwd streamripper
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
    # The player of most web pages. Its test is skipped, and says so, where it cannot be fetched.
    hls_js=target/tools/hls-1.7.4.min.js
    if [[ ! -e $hls_js ]]; then
        archive=$(mktemp)
        if curl --fail --silent --show-error --location --max-time 60 --output "$archive" \
            https://registry.npmjs.org/hls.js/-/hls.js-1.7.4.tgz; then
            sha256sum --check --quiet <<<"e4ab3d5d13f7cca9ef241d098f39686e19fd451831ba07dc9943482fd5ff75c7  $archive"
            mkdir -p target/tools
            tar --extract --gzip --to-stdout --file "$archive" package/dist/hls.min.js >"$hls_js"
        else
            echo "not fetched: hls.js"
        fi
        rm "$archive"
    fi
fi

cargo fmt --all --check
cargo clippy --workspace --all-targets --quiet -- --deny warnings
cargo test --workspace
