// SPDX-License-Identifier: Apache-2.0
// rawjson.js - finds the bytes of a value inside a JSON text.
//
// A console that shows messages has to show them as they are: JSON.parse turns 12345678901234567890 into another number,
// 1.0 into 1, and keeps one of two equal keys. So the text of a value is cut out of the text around it. The text must be
// valid JSON (JSON.parse has accepted it); then strings and brackets are all there is to know.

function endOfString(text, at) {
    for (at++; text[at] !== '"'; at++)
        if (text[at] === "\\") at++;
    return at + 1;
}

/** The index behind the value that begins at `at`. */
function endOfValue(text, at) {
    if (text[at] === '"') return endOfString(text, at);
    if (text[at] !== "{" && text[at] !== "[") {
        while (at < text.length && !/[\s,\]}]/.test(text[at])) at++;
        return at;
    }
    let depth = 0;
    do {
        const c = text[at];
        if (c === '"') { at = endOfString(text, at); continue; }
        if (c === "{" || c === "[") depth++;
        else if (c === "}" || c === "]") depth--;
        at++;
    } while (depth > 0);
    return at;
}

function skipTo(text, at) {
    while (" \t\r\n,:".includes(text[at])) at++;
    return at;
}

/** The text of a member of an object's text, or undefined; of two equal keys the last, as JSON.parse has it. */
export function rawMember(text, key) {
    let at = skipTo(text, 0), found;
    if (text[at] !== "{") return undefined;
    for (at = skipTo(text, at + 1); text[at] !== "}"; at = skipTo(text, at)) {
        const keyEnd = endOfString(text, at);
        const name = JSON.parse(text.slice(at, keyEnd));
        at = skipTo(text, keyEnd);
        const end = endOfValue(text, at);
        if (name === key) found = text.slice(at, end);
        at = end;
    }
    return found;
}

/** rawPath(text, "push", "pub", "data"): members of members. */
export function rawPath(text, ...keys) {
    return keys.reduce((inner, key) => inner === undefined ? undefined : rawMember(inner, key), text);
}

/** The texts of an array's elements; none if it is no array. */
export function rawElements(text) {
    const found = [];
    let at = skipTo(text ?? "", 0);
    if (!text || text[at] !== "[") return found;
    for (at = skipTo(text, at + 1); text[at] !== "]"; at = skipTo(text, at)) {
        const end = endOfValue(text, at);
        found.push(text.slice(at, end));
        at = end;
    }
    return found;
}
