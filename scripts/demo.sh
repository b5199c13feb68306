#!/usr/bin/env bash
# A real video travels from disk through upload address + credential to storage, survives kill -9 of both ends, and comes back byte for byte.
# VIDEO=path takes your own file, SIZE_MB sizes the made one (200), LIMIT the speed (so slow that there is time to kill), KEEP=1 leaves the server running.
cd "$(dirname "$0")/.."
. scripts/setup.sh demo
say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
die() { printf '\nerror: %s\n' "$*" >&2; exit 1; }

say "1. Build"
cargo build --release --locked -p vodferry-cli
vodferry=$PWD/target/release/vodferry

work=$(mktemp -d "${TMPDIR:-/tmp}/vodferry-demo.XXXXXX")
server='' uploader=''
cleanup() {
	if [ -n "$uploader" ]; then kill -9 "$uploader" 2>/dev/null || true; fi
	if [ -n "$server" ]; then kill "$server" 2>/dev/null || true; fi
	wait 2>/dev/null || true
	rm -rf "$work"
}
trap cleanup EXIT

say "2. A video: H.264 with sound"
mib=${SIZE_MB:-200}
if [ -n "${VIDEO:-}" ]; then
	[ -f "$VIDEO" ] || die "VIDEO=$VIDEO is not a file"
	video=$(realpath "$VIDEO")
	[ "$(stat -c %s "$video")" -ge $((10 << 20)) ] || die "VIDEO=$VIDEO is too small to be killed half-way: 10 MiB at least"
else
	cache=${XDG_CACHE_HOME:-$HOME/.cache}/vodferry-demo
	video=$cache/demo-$mib.mp4
	if [ ! -s "$video" ]; then
		mkdir -p "$cache"
		# 16 Mbit/s of noise over a test picture: about 2 MB a second whatever the encoder finds to save.
		stats=$([ -t 2 ] && echo -stats || echo -nostats)
		ffmpeg -hide_banner -loglevel error "$stats" -y \
			-f lavfi -i "testsrc2=size=1280x720:rate=30,noise=alls=60:allf=t" -f lavfi -i "sine=frequency=440:sample_rate=48000" \
			-t "$((mib / 2))" -c:v libx264 -preset ultrafast -b:v 16M -minrate 16M -maxrate 16M -bufsize 16M \
			-pix_fmt yuv420p -c:a aac -b:a 128k -movflags +faststart "$video.part.mp4"
		mv "$video.part.mp4" "$video"
	fi
fi
size=$(stat -c %s "$video")
echo "$video: $size bytes"
ffprobe -v error -show_entries stream=codec_name,width,height -show_entries format=duration -of compact=p=0 "$video" || true

# Slow enough that the voyage lasts about 20 seconds.
limit=${LIMIT:-$((size / 20))}

start_server() { # port
	: >"$work/server.log"
	"$vodferry" serve --listen "127.0.0.1:$1" --data "$work/data" >"$work/server.log" 2>>"$work/server.err" &
	server=$!
	for _ in $(seq 100); do
		url=$(sed -n 's/^listening on //p' "$work/server.log")
		[ -n "$url" ] && return
		kill -0 "$server" 2>/dev/null || break
		sleep 0.1
	done
	cat "$work/server.err" >&2
	die "the server did not come up"
}

acknowledged() { # percent of the file that the event log says is stored
	awk -v size="$size" -F'"acknowledged":' '/"event":"progress"/ { split($2, a, /[,}]/); p = a[1] } END { printf "%d", p * 100 / size }' "$work"/events-*.jsonl
}

start_upload() { # run number
	: >"$work/events-$1.jsonl"
	"$vodferry" upload "$video" --server "$url" --record-dir "$work/records" --limit "$limit" --json >"$work/events-$1.jsonl" &
	uploader=$!
}

kill_hard() { # process: with it goes whatever it did not sync
	kill -9 "$1"
	wait "$1" 2>/dev/null || true
}

wait_for() { # percent
	while [ "$(acknowledged)" -lt "$1" ]; do
		kill -0 "$uploader" 2>/dev/null || { cat "$work"/events-*.jsonl | tail -5; die "the uploader ended before $1 %"; }
		sleep 0.05
	done
}

parts_of() { awk '/"event":"part"/ { match($0, /"number":[0-9]+/); print substr($0, RSTART + 9, RLENGTH - 9) }' "$@" | sort -n; }
field() { # name, file: the last value of a member in an event log
	sed -n "s/.*\"$1\":\"\{0,1\}\([^,\"}]*\).*/\1/p" "$2" | tail -1
}

say "3. A server with the embedded store, and the voyage at $((limit / 1024)) KiB/s"
start_server 0
port=${url##*:}
began=$(date +%s)
start_upload 1
wait_for 40
kill_hard "$uploader"
say "   kill -9 of the uploader at $(acknowledged) %; the same command again"
before=$(parts_of "$work/events-1.jsonl" | wc -l)
start_upload 2
wait_for 70
kill_hard "$server"
say "   kill -9 of the server at $(acknowledged) %; two seconds of nothing, then it is started again"
sleep 2
start_server "$port"
wait "$uploader" || { tail -3 "$work/events-2.jsonl"; die "the upload failed"; }
uploader=''
took=$(($(date +%s) - began))

say "4. What was sent again"
twice=$(cat <(parts_of "$work/events-1.jsonl") <(parts_of "$work/events-2.jsonl") | uniq -d | wc -l)
after=$(parts_of "$work/events-2.jsonl" | wc -l)
held=$(sed -n '/"event":"resumed"/p' "$work/events-2.jsonl" | sed -n 's/.*"parts":\([0-9]*\).*/\1/p' | head -1)
held_bytes=$(sed -n '/"event":"resumed"/p' "$work/events-2.jsonl" | sed -n 's/.*"bytes":\([0-9]*\).*/\1/p' | head -1)
retries=$(grep -c '"event":"retry"' "$work/events-2.jsonl" || true)
echo "acknowledged before the uploader was killed: $before parts"
echo "found at the server when it resumed:          ${held:-0} parts, ${held_bytes:-0} bytes: not sent again"
echo "acknowledged afterwards:                      $after parts"
echo "outages told (the killed server):             $retries"
echo "acknowledged and yet sent again:              $twice parts"
[ "$twice" = 0 ] || die "parts were sent again although they were acknowledged"
[ "${held:-0}" -ge "$before" ] || die "the server held fewer parts than it had acknowledged"
sent=$(awk '/"event":"part"/ { match($0, /"bytes":[0-9]+/); sum += substr($0, RSTART + 8, RLENGTH - 8) } END { printf "%d", sum }' "$work/events-2.jsonl")
[ $((${held_bytes:-0} + sent)) = "$size" ] || die "the bytes do not add up: ${held_bytes:-0} + $sent"

say "5. Back again, byte for byte"
succeeded=$work/succeeded.json
grep '"event":"succeeded"' "$work/events-2.jsonl" >"$succeeded" || die "no success was told"
video_id=$(field video_id "$succeeded") bucket=$(field bucket "$succeeded") key=$(field key "$succeeded") crc=$(field crc64 "$succeeded")
"$vodferry" get "$bucket/$key" --endpoint "$url" --keys-file "$work/data/keys.toml" --json -o "$work/back.mp4" >"$work/get.json"
cmp "$video" "$work/back.mp4" || die "the bytes differ"
[ "$crc" = "$(field crc64 "$work/get.json")" ] || die "the CRC64s differ"
play=$("$vodferry" url "$bucket/$key" --endpoint "$url" --keys-file "$work/data/keys.toml" --expires 3600)
curl -fsS -r 0-1023 -o /dev/null "$play" || die "the presigned URL does not play"

echo "identical: $size bytes, CRC64 $crc"
echo "VideoId:    $video_id"
echo "presigned:  $play"
[ -n "${KEEP:-}" ] || echo "            (KEEP=1 leaves the server running, so that it plays)"
echo "throughput: $((size / (took > 0 ? took : 1) / 1024)) KiB/s over $took s, two kills and a limit of $((limit / 1024)) KiB/s included"

say "The same by hand"
cat <<TXT
  PATH=$(dirname "$vodferry"):\$PATH
  vodferry serve --listen 127.0.0.1:9000 --data ./vodferry-data &
  vodferry upload $(printf %q "$video") --server http://127.0.0.1:9000      # prints BUCKET/KEY
  vodferry get BUCKET/KEY --endpoint http://127.0.0.1:9000 --keys-file ./vodferry-data/keys.toml -o back.mp4
TXT
if [ -n "${KEEP:-}" ]; then
	say "The server runs on at $url until you press Enter"
	read -r _ || true
fi
