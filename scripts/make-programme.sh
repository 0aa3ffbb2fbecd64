#!/usr/bin/env bash
# Makes the clips of the built-in programme: a chime, the words of a clock, and the music between them.
# Needs espeak-ng, sox and lame. The results are committed: run this only to change how the programme sounds.
#
# Every clip is MPEG-1 Layer III, 44.1 kHz, joint stereo, 64 kbit/s, without a bit reservoir and without a Xing
# frame, and fades at both ends, so that any clip can follow any other at a frame boundary.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
clips="$here/../crates/streammachine/assets/programme"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$clips"
rm -f "$clips"/*.mp3

# Gains that bring the voice to -16 LUFS and the music to -23 LUFS, measured with ffmpeg's ebur128 on the clips.
VOICE_GAIN_DB=1.5
MUSIC_GAIN_DB=5
CHIME_PEAK_DB=-15
# Seconds of music between two announcements: what the longest announcement leaves of 15 seconds.
MUSIC_SECONDS=10.2

encode() { # WAV NAME
    lame --quiet --nores -t --cbr -b 64 -m j -q 0 --resample 44.1 "$1" "$clips/$2.mp3"
}

# Says TEXT: trimmed to its sound, in a small room, a little warmer than the synthesiser makes it.
say() { # NAME TEXT
    espeak-ng -v en-gb-x-rp+f2 -s 165 -p 42 -a 60 -w "$work/say.wav" "$2"
    sox -D "$work/say.wav" -r 44100 "$work/dry.wav" \
        highpass 90 bass +2 180 treble -3 5000 \
        silence 1 0.005 0.4% reverse silence 1 0.005 0.4% reverse pad 0.004 0.06
    sox -D "$work/dry.wav" "$work/room.wav" channels 2
    sox -D "$work/room.wav" "$work/wet.wav" gain 3 \
        compand 0.004,0.12 6:-60,-60,-30,-22,-12,-11,0,-6 0 -60 0.004 \
        reverb 12 60 15 100 4 -4 gain -l "$VOICE_GAIN_DB" fade t 0.004 -0 0.06
    encode "$work/wet.wav" "$1"
}

# Two soft bells, a fifth apart, with the partials of a struck bar.
chime() {
    sox -D -n -r 44100 -c 1 "$work/low.wav" synth 2.6 sine D5 sine 1762 sine 3181 \
        remix 1v0.8,2v0.16,3v0.04 fade l 0.008 2.6 2.58
    sox -D -n -r 44100 -c 1 "$work/high.wav" synth 2.3 sine A5 sine 2640 sine 4767 \
        remix 1v0.7,2v0.12,3v0.03 fade l 0.008 2.3 2.28 pad 0.14
    sox -D -M "$work/low.wav" "$work/high.wav" "$work/chime.wav" \
        remix 1v0.8,2v0.5 1v0.5,2v0.8 reverb 30 50 60 trim 0 1.15 norm "$CHIME_PEAK_DB" fade t 0 1.15 0.35
    encode "$work/chime.wav" chime
}

# A pad: each note twice, a little apart in pitch, so that it moves.
pad() { # FILE SECONDS NOTE...
    local file=$1 seconds=$2 voices=() note
    shift 2
    for note in "$@"; do
        voices+=(sine "$note" triangle "$note")
    done
    sox -D -n -r 44100 -c 1 "$file" synth "$seconds" "${voices[@]}" remix - \
        lowpass 900 lowpass 1400 chorus 0.6 0.8 45 0.4 0.23 2 -t 62 0.35 0.31 2 -s gain -n -9 \
        fade t 1.6 "$seconds" 2.8
}

# Plucked notes, one every half second, in turn more to the left and more to the right.
arpeggio() { # FILE NOTE...
    local file=$1 strings=() delays=() left='' right='' at=0 channel=1 note
    shift
    for note in "$@"; do
        strings+=(pluck "$note")
        delays+=("$(printf '%d.%03d' $((at / 1000)) $((at % 1000)))")
        left+="${left:+,}${channel}v0.$((channel % 2 ? 9 : 4))"
        right+="${right:+,}${channel}v0.$((channel % 2 ? 4 : 9))"
        at=$((at + 500)) channel=$((channel + 1))
    done
    sox -D -R -n -r 44100 "$file" synth 4 "${strings[@]}" fade l 0.006 4 3.6 delay "${delays[@]}" \
        remix "$left" "$right" lowpass 2400 lowpass 3600 highpass 120 gain -n -9
}

# A phrase: two chords, each a pad with an arpeggio over it, in a large room, from silence to silence.
phrase() { # NAME PAD1 ARPEGGIO1 PAD2 ARPEGGIO2
    # The notes are words of one argument: they are meant to be split.
    # shellcheck disable=SC2086
    {
        pad "$work/pad1.wav" 6.4 $2
        pad "$work/pad2.wav" 6.6 $4
        arpeggio "$work/arp1.wav" $3
        arpeggio "$work/arp2.wav" $5
    }
    sox -D "$work/pad1.wav" -c 2 "$work/a.wav"
    sox -D "$work/pad2.wav" -c 2 "$work/b.wav" pad 4.1
    sox -D "$work/arp1.wav" "$work/c.wav" pad 0.5
    sox -D "$work/arp2.wav" "$work/d.wav" pad 4.5
    sox -D -m -v 0.55 "$work/a.wav" -v 0.55 "$work/b.wav" -v 0.5 "$work/c.wav" -v 0.5 "$work/d.wav" \
        "$work/phrase.wav" gain -6 reverb 55 40 90 100 20 gain "$MUSIC_GAIN_DB" \
        trim 0 "$MUSIC_SECONDS" fade t 0.3 "$MUSIC_SECONDS" 2.4
    encode "$work/phrase.wav" "$1"
}

music() {
    phrase music-1 'D2 D3 A3 E4 F#4' 'D4 A4 E5 F#5 A5 F#5 E5 A4' 'G2 D3 B3 D4 F#4' 'B4 D5 F#5 A5 F#5 D5'
    phrase music-2 'B2 F#3 A3 D4' 'F#4 B4 D5 F#5 A5 F#5 D5 B4' 'A2 E3 A3 D4' 'A4 D5 E5 A5 E5 C#5'
    phrase music-3 'G2 D3 F#3 B3' 'G4 B4 D5 F#5 B5 A5 F#5 D5' 'E2 B2 G3 D4 F#4' 'G4 B4 E5 F#5 D5 B4'
    phrase music-4 'F#2 C#3 A3 E4' 'A4 C#5 E5 A5 G#5 E5 C#5 A4' 'B2 F#3 D4 E4' 'F#4 B4 D5 E5 F#5 D5'
    phrase music-5 'G2 D3 B3 F#4' 'B4 D5 F#5 A5 B5 A5 F#5 D5' 'D2 D3 A3 E4 F#4' 'A4 D5 E5 F#5 A5 D5'
}

# Numbers end in a comma: something always follows, and the voice must stay up for it.
words() {
    local n
    for n in $(seq 0 59); do
        say "$(printf 'number-%02d' "$n")" "$n,"
    done
    for n in $(seq 1 9); do
        say "oh-$n" "oh $n,"
    done
    say oclock "o'clock,"
    say midnight 'midnight,'
    say exactly 'exactly.'
    for n in 15 30 45; do
        say "seconds-$n" "and $n seconds."
    done
}

silence() {
    sox -D -n -r 44100 -c 2 "$work/silence.wav" trim 0 0.2
    encode "$work/silence.wav" silence
}

chime
silence
words
music
du -cb "$clips"/*.mp3 | tail -1
