# Ends what is on the list when standard input closes: see guard.rs.
trap '' HUP INT TERM
groups='' # as "signal:group"
newline='
'
folders=''

while read -r verb first second; do
    case $verb in
    watch) groups="$groups $first:$second" ;;
    forget)
        left=''
        for entry in $groups; do
            [ "${entry#*:}" = "$first" ] || left="$left $entry"
        done
        groups=$left
        ;;
    remove) folders="$folders$first${second:+ $second}$newline" ;;
    esac
done

for entry in $groups; do
    kill -s "${entry%%:*}" -- "-${entry#*:}"
done

# Up to five seconds for those that end in good order.
tries=50
while [ $tries -gt 0 ]; do
    left=''
    for entry in $groups; do
        if kill -s 0 -- "-${entry#*:}"; then left="$left $entry"; fi
    done
    groups=$left
    [ -n "$groups" ] || break
    tries=$((tries - 1))
    sleep 0.1
done
for entry in $groups; do
    kill -s KILL -- "-${entry#*:}"
done

printf '%s' "$folders" | while IFS= read -r folder; do
    rm -rf -- "$folder"
done
