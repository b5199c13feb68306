# Sourced by test.sh and test-all.sh: runs suites one after the other and stops at the first that fails. Tests that this machine cannot
# run add a line to the file that VODFERRY_SKIPPED names; at the end each suite shows its seconds and what it skipped.
summary=() all_skipped=0 all_began=$SECONDS
suite() { # name, command…
	local name=$1 began=$SECONDS list skipped line
	shift
	printf '\n== %s\n' "$name"
	list=$(mktemp "${TMPDIR:-/tmp}/vodferry-skipped.XXXXXX")
	VODFERRY_SKIPPED=$list "$@" || { rm -f "$list"; printf '\n%s failed after %s s\n' "$name" $((SECONDS - began)); exit 1; }
	skipped=$(wc -l <"$list")
	summary+=("$(printf '%6s s %4s skipped  %s' $((SECONDS - began)) "$skipped" "$name")")
	while read -r line; do summary+=("                    $line"); done <"$list"
	all_skipped=$((all_skipped + skipped))
	# Suites of a suite count there too.
	[ -z "${VODFERRY_SKIPPED:-}" ] || cat "$list" >>"$VODFERRY_SKIPPED"
	rm -f "$list"
}
summarize() {
	printf '\nseconds of each suite, and what it skipped\n'
	printf '%s\n' "${summary[@]}"
	printf '%6s s %4s skipped  in all\n' $((SECONDS - all_began)) "$all_skipped"
}
