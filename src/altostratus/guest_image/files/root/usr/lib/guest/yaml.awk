# SPDX-License-Identifier: Apache-2.0
# Flatten the part of YAML that people write in #cloud-config, into the lines that json.awk gives.
# Understood: block maps and lists, | and > texts, flow [lists] and {maps}, quotes, comments, plain text over
# several lines. Not understood: anchors, tags, several documents, maps as keys.
{
    sub(/\r$/, "")
    line[++lines] = $0
}

END {
    at = 1
    block(0, "")
}

function trim(s) {
    sub(/^[ \t]+/, "", s)
    sub(/[ \t]+$/, "", s)
    return s
}

function indent(s) {
    match(s, /^ */)
    return RLENGTH
}

function under(path, name) { return path == "" ? name : path "/" name }

function emit(path, s) {
    gsub(/\\/, "\\\\", s)
    gsub(/\n/, "\\n", s)
    gsub(/\t/, "\\t", s)
    print path "\t" s
}

function skip() { while (at <= lines && line[at] ~ /^[ \t]*(#.*)?$/ || line[at] ~ /^(---|%)/ && at <= lines) at++ }

function is_item(s) { return s ~ /^ *-( |$)/ }

function is_key(s) {
    s = trim(s)
    if (s ~ /^["']/) return s ~ /^("[^"]*"|'[^']*') *:( |$)/
    if (s ~ /^[][{},#&*!|>%@`]/ || !match(s, /:( |$)/)) return 0
    return substr(s, 1, RSTART) !~ / #/
}

# The block that begins at the next line, if it is indented by at least `least`.
function block(least, path, depth, number) {
    skip()
    if (at > lines || indent(line[at]) < least) {
        emit(path, "")
        return
    }
    depth = indent(line[at])
    if (is_item(line[at])) {
        number = 0
        while (at <= lines && indent(line[at]) == depth && is_item(line[at])) {
            sub(/-/, " ", line[at])
            item(depth + 1, under(path, number++))
            skip()
        }
    } else if (is_key(line[at])) {
        while (at <= lines && indent(line[at]) == depth && is_key(line[at])) {
            pair(depth, path)
            skip()
        }
    } else scalar(trim(line[at]), depth - 1, path)
}

# What stands behind a dash (which is a blank by now).
function item(least, path) {
    if (trim(line[at]) == "" || trim(line[at]) ~ /^#/) {
        at++
        block(least, path)
    } else if (is_item(line[at]) || is_key(line[at])) block(least, path)
    else scalar(trim(line[at]), least - 1, path)
}

function pair(depth, path, s, name, colon) {
    s = trim(line[at])
    if (s ~ /^"/ && match(s, /^"[^"]*"/) || s ~ /^'/ && match(s, /^'[^']*'/)) {
        name = substr(s, 2, RLENGTH - 2)
        s = substr(s, RLENGTH + 1)
        sub(/^ *:/, "", s)
    } else {
        match(s, /:( |$)/)
        name = trim(substr(s, 1, RSTART - 1))
        s = substr(s, RSTART + 1)
    }
    s = trim(s)
    if (s == "" || s ~ /^#/) {
        at++
        skip()
        block(is_item(line[at]) ? depth : depth + 1, under(path, name))
    } else scalar(s, depth, under(path, name))
}

# A value that begins on the current line with `s`; more of it may follow, indented deeper than `depth`.
function scalar(s, depth, path) {
    at++
    if (s ~ /^[|>][-+0-9]*( *#.*)?$/) {
        literal(s, depth, path)
        return
    }
    if (s ~ /^[[{]/) {
        while (at <= lines && open_brackets(s) > 0) s = s " " trim(line[at++])
        flow_text = s
        flow(path)
        return
    }
    while (at <= lines && line[at] ~ /[^ \t]/ && indent(line[at]) > depth && line[at] !~ /^ *#/) s = s " " trim(line[at++])
    emit(path, plain(s))
}

function plain(s) {
    if (s ~ /^"/) {
        match(s, /^"([^"\\]|\\.)*"/)
        s = substr(s, 2, RLENGTH - 2)
        gsub(/\\\\/, "\001", s)
        gsub(/\\n/, "\n", s)
        gsub(/\\t/, "\t", s)
        gsub(/\\"/, "\"", s)
        gsub(/\001/, "\\", s)
        return s
    }
    if (s ~ /^'/) {
        match(s, /^'([^']|'')*'/)
        s = substr(s, 2, RLENGTH - 2)
        gsub(/''/, "'", s)
        return s
    }
    sub(/[ \t]#.*$/, "", s)
    s = trim(s)
    return (s == "~" || s == "null") ? "" : s
}

function literal(mark, depth, path, text, own, blank, s) {
    own = -1
    text = ""
    while (at <= lines) {
        s = line[at]
        blank = s !~ /[^ ]/
        if (!blank && own < 0) own = indent(s)
        if (!blank && (indent(s) <= depth || indent(s) < own)) break
        s = blank ? "" : substr(s, own + 1)
        text = text s ((mark ~ /^>/ && !blank) ? " " : "\n")
        at++
    }
    sub(/[ \n]+$/, "", text)
    emit(path, mark ~ /-/ ? text : text "\n")
}

function open_brackets(s, rest, opened, closed) {
    gsub(/"[^"]*"|'[^']*'/, "", s)
    rest = s
    opened = gsub(/[[{]/, "", rest)
    closed = gsub(/[]}]/, "", s)
    return opened - closed
}

# The flow value at the front of flow_text.
function flow(path, number, name, before) {
    flow_skip()
    if (flow_text ~ /^\[/) {
        flow_drop(1)
        number = 0
        flow_skip()
        while (flow_text != "" && flow_text !~ /^\]/) {
            before = length(flow_text)
            flow(under(path, number++))
            flow_next(before)
        }
        flow_drop(1)
    } else if (flow_text ~ /^\{/) {
        flow_drop(1)
        flow_skip()
        while (flow_text != "" && flow_text !~ /^\}/) {
            before = length(flow_text)
            name = flow_word(":")
            flow_drop(1)
            flow(under(path, name))
            flow_next(before)
        }
        flow_drop(1)
    } else emit(path, flow_word(""))
}

function flow_skip() { sub(/^[ \t]+/, "", flow_text) }

# Behind an item: the comma, or something wrong, which must not stop the reader for ever.
function flow_next(before) {
    flow_skip()
    if (flow_text ~ /^,/ || length(flow_text) >= before) flow_drop(1)
    flow_skip()
}

function flow_drop(count) { flow_text = substr(flow_text, count + 1) }

function flow_word(stop, s) {
    if (!(flow_text ~ /^"/ && match(flow_text, /^"([^"\\]|\\.)*"/)) && !(flow_text ~ /^'/ && match(flow_text, /^'([^']|'')*'/)))
        if (stop == "" ? !match(flow_text, /^[^],}]*/) : !match(flow_text, /^[^],}:]*/)) RLENGTH = 1
    s = substr(flow_text, 1, RLENGTH)
    flow_drop(RLENGTH)
    flow_skip()
    return plain(trim(s))
}
