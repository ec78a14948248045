#!/bin/sh
# Lets the core server's user use UKeys. Run as root, once; no restart is needed.
#
#   installukey.sh [-g GROUP] [VENDOR:PRODUCT ...]
#   installukey.sh -r
#
# GROUP is the group of the server's user, "anychat" as in etc/anychat.service.
# VENDOR:PRODUCT (four hexadecimal digits each, as lsusb shows them) is for keys
# that do not call themselves "AnyChat UKey". -r takes it all back.
name=60-anychat-ukey.rules
template=$(dirname "$0")/$name
rules=${UDEV_RULES_DIR:-/etc/udev/rules.d}
group=anychat
remove=

fail() {
    echo "installukey.sh: $1" >&2
    exit 1
}

while getopts g:r option; do
    case $option in
        g) group=$OPTARG ;;
        r) remove=yes ;;
        *) fail "usage: installukey.sh [-g GROUP] [VENDOR:PRODUCT ...] | -r" ;;
    esac
done
shift $((OPTIND - 1))

# udev reads the rules anew and applies them to what is plugged in.
apply() {
    if ! command -v udevadm >/dev/null; then
        echo "There is no udevadm here: plug the UKey in again where udev runs."
    elif ! udevadm control --reload ||
        ! udevadm trigger --action=change --subsystem-match=usb; then
        echo "udev does not answer: the rule counts after the next start." >&2
    fi
}

if [ -n "$remove" ]; then
    [ -e "$rules/$name" ] || fail "$rules/$name is not there"
    rm -f "$rules/$name" || fail "$rules/$name cannot be removed; are you root?"
    apply
    echo "Removed $rules/$name."
    exit
fi

[ -r "$template" ] || fail "$template is missing"
case $group in
    "" | -* | *[!A-Za-z0-9_-]*) fail "\"$group\" is no name of a group" ;;
esac
getent group "$group" >/dev/null ||
    fail "there is no group \"$group\"; name that of the server's user: -g GROUP"
lines=
for key in "$@"; do
    case $key in
        *[!0-9A-Fa-f:]* | *:*:*) fail "\"$key\" is not VENDOR:PRODUCT, such as 1209:0001" ;;
        ????:????) ;;
        *) fail "\"$key\" is not VENDOR:PRODUCT, such as 1209:0001" ;;
    esac
    # sysfs has them in small letters.
    key=$(printf %s "$key" | tr A-F a-f)
    lines="${lines}ATTR{idVendor}==\"${key%:*}\", ATTR{idProduct}==\"${key#*:}\", \
GROUP=\"$group\", MODE=\"0660\"
"
done
mkdir -p "$rules" || fail "$rules cannot be made; are you root?"
{
    sed -e "s/GROUP=\"anychat\"/GROUP=\"$group\"/" -e "/^LABEL=/d" "$template" &&
        printf %s "$lines" &&
        echo 'LABEL="anychat_ukey_end"'
} >"$rules/$name.part" && chmod 644 "$rules/$name.part" &&
    mv -f "$rules/$name.part" "$rules/$name" || {
    rm -f "$rules/$name.part"
    fail "$rules/$name cannot be written; are you root?"
}
apply
echo "Installed $rules/$name: group $group may use UKeys."
