// Text of guests and scripts, none of which is trusted: it only ever becomes text nodes. Control characters, and
// characters that turn the direction of text, are shown as what they are.

const CONTROL = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]/;
const CONTROLS = new RegExp(CONTROL.source, "g");

// ESC sequences and their forms of one character, as ECMA-48 has them; a control string ends with the line.
const SEQUENCE = /(?:\u001b\[|\u009b)[0-?]*[ -/]*[@-~]?|(?:\u001b[\]PX^_]|[\u0090\u0098\u009d-\u009f])[^\u0007\u001b\u009c\n]*(?:\u0007|\u001b\\|\u009c)?|\u001b[ -/]*[0-~]?/g;

function controlName(character) {
	const code = character.codePointAt(0);
	if (code < 0x20 || code === 0x7f)
		return `^${String.fromCodePoint(code ^ 0x40)}`;
	return `U+${code.toString(16).toUpperCase().padStart(4, "0")}`;
}

// Without escape sequences and without control characters: what can be searched.
function plainText(text) {
	if (!CONTROL.test(text))
		return text;
	return text.replace(SEQUENCE, "").replace(CONTROLS, "");
}

function firstLine(text) {
	const end = text.indexOf("\n");
	return end < 0 ? text : text.slice(0, end);
}

// The text for a place where there can be no elements: an attribute, a canvas.
function labelText(text, most = 200) {
	const plain = plainText(text.slice(0, 20 * most)).replace(/\s+/g, " ").trim();
	return plain.length > most ? `${plain.slice(0, most - 1)}…` : plain;
}

// ---- colours of consoles

// Changes the set of classes as a sequence "ESC [ parameters m" says.
function applyColours(classes, parameters) {
	const numbers = parameters.split(";").map(Number);
	const drop = (...names) => { for (const name of [...classes]) if (names.some(test => test.test(name))) classes.delete(name); };
	for (let i = 0; i < numbers.length; i++) {
		const n = numbers[i];
		if (n === 0)
			classes.clear();
		else if ([1, 2, 3, 4, 7, 9].includes(n))
			classes.add(`a${n}`);
		else if (n === 22)
			drop(/^a[12]$/);
		else if ([23, 24, 27, 29].includes(n))
			classes.delete(`a${n - 20}`);
		else if ((n >= 30 && n <= 37) || (n >= 90 && n <= 97))
			drop(/^a[39]\d$/), classes.add(`a${n}`);
		else if ((n >= 40 && n <= 47) || (n >= 100 && n <= 107))
			drop(/^a(4\d|10\d)$/), classes.add(`a${n}`);
		else if (n === 39)
			drop(/^a[39]\d$/);
		else if (n === 49)
			drop(/^a(4\d|10\d)$/);
		else if (n === 38 || n === 48)
			i += indexedColour(classes, n, numbers.slice(i + 1), drop);
	}
}

// "38;5;N" and "38;2;R;G;B": the first sixteen colours are shown, others are skipped. Returns how many numbers it took.
function indexedColour(classes, n, rest, drop) {
	if (rest[0] === 5 && rest[1] < 16) {
		drop(n === 38 ? /^a[39]\d$/ : /^a(4\d|10\d)$/);
		classes.add(`a${(n === 38 ? 30 : 40) + (rest[1] & 7) + (rest[1] > 7 ? 60 : 0)}`);
	}
	return rest[0] === 5 ? 2 : rest[0] === 2 ? 4 : 0;
}

// Splits a text into [text, classes], the classes being those of the colours that were set.
function colouredParts(text) {
	if (!text.includes("\u001b") && !text.includes("\u009b"))
		return [[text, ""]];
	const parts = [], classes = new Set();
	let at = 0;
	for (const match of text.matchAll(SEQUENCE)) {
		if (match.index > at)
			parts.push([text.slice(at, match.index), [...classes].join(" ")]);
		at = match.index + match[0].length;
		const colour = /^(?:\u001b\[|\u009b)([\d;]*)m$/.exec(match[0]);
		if (colour)
			applyColours(classes, colour[1]);
	}
	if (at < text.length)
		parts.push([text.slice(at), [...classes].join(" ")]);
	return parts;
}

// ---- nodes

// Appends the text with its control characters in elements of their own.
function appendShown(parent, text) {
	if (!CONTROL.test(text)) {
		parent.append(text);
		return;
	}
	let at = 0;
	for (const match of text.matchAll(CONTROLS)) {
		if (match.index > at)
			parent.append(text.slice(at, match.index));
		const mark = document.createElement("span");
		mark.className = "control";
		mark.textContent = controlName(match[0]);
		parent.append(mark);
		at = match.index + match[0].length;
	}
	if (at < text.length)
		parent.append(text.slice(at));
}

// The text with what `found` (lower case, "" for nothing) finds in it marked.
function appendMarked(parent, text, found) {
	const lower = found ? text.toLowerCase() : "";
	let at = 0;
	for (let next; found && lower.length === text.length && (next = lower.indexOf(found, at)) >= 0; at = next + found.length) {
		appendShown(parent, text.slice(at, next));
		const mark = document.createElement("mark");
		appendShown(mark, text.slice(next, next + found.length));
		parent.append(mark);
	}
	appendShown(parent, text.slice(at));
}

// A console text with its colours; a carriage return before the end of a line means nothing.
function appendColoured(parent, text, found = "") {
	for (const [part, classes] of colouredParts(text.replace(/\r+(?=\n|$)/g, ""))) {
		if (!classes) {
			appendMarked(parent, part, found);
			continue;
		}
		const span = document.createElement("span");
		span.className = classes;
		appendMarked(span, part, found);
		parent.append(span);
	}
}
