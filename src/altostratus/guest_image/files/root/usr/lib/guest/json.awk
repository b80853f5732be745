# SPDX-License-Identifier: Apache-2.0
# Flatten JSON: one line "path<TAB>value" for every scalar, such as "public_keys/mine<TAB>ssh-ed25519 AAAA...".
# Array items are numbered from 0. In values a line feed is written \n, a tab \t and a backslash \\.
{ text = text $0 "\n" }

END {
    value("")
}

function skip() { sub(/^[ \t\r\n]+/, "", text) }

function drop(count) { text = substr(text, count + 1) }

function under(path, name) { return path == "" ? name : path "/" name }

function value(path, first) {
    skip()
    first = substr(text, 1, 1)
    if (first == "{") object(path)
    else if (first == "[") array(path)
    else if (first == "\"") print path "\t" quoted()
    else if (match(text, /^[-+.0-9a-zA-Z]+/)) {
        print path "\t" substr(text, 1, RLENGTH)
        drop(RLENGTH)
    } else text = ""
}

function object(path, name) {
    drop(1)
    skip()
    while (substr(text, 1, 1) == "\"") {
        name = quoted()
        skip()
        drop(1)
        value(under(path, name))
        skip()
        if (substr(text, 1, 1) == ",") drop(1)
        skip()
    }
    drop(1)
}

function array(path, number) {
    drop(1)
    skip()
    number = 0
    while (text != "" && substr(text, 1, 1) != "]") {
        value(under(path, number++))
        skip()
        if (substr(text, 1, 1) == ",") drop(1)
        skip()
    }
    drop(1)
}

# The string at the front, with \" \/ \uXXXX (ASCII only) undone and \n \t \\ kept.
function quoted(result, mark, code) {
    drop(1)
    result = ""
    while (text != "") {
        if (match(text, /^[^"\\]+/)) {
            result = result substr(text, 1, RLENGTH)
            drop(RLENGTH)
        }
        mark = substr(text, 1, 1)
        drop(1)
        if (mark != "\\") break
        mark = substr(text, 1, 1)
        if (mark == "u") {
            code = hex(substr(text, 2, 4))
            drop(5)
            result = result (code == 10 ? "\\n" : code == 9 ? "\\t" : code < 32 ? " " : code < 128 ? sprintf("%c", code) : "?")
        } else {
            drop(1)
            result = result ((mark == "n" || mark == "t" || mark == "\\") ? "\\" mark : mark == "r" ? "" : mark)
        }
    }
    gsub(/\t/, " ", result)
    return result
}

function hex(digits, number, i) {
    number = 0
    digits = tolower(digits)
    for (i = 1; i <= length(digits); i++) number = number * 16 + index("0123456789abcdef", substr(digits, i, 1)) - 1
    return number
}
