// Elements, and numbers as people read them.

// An element with properties; children are elements or text. A property is a DOM property, or an attribute if its name
// has a dash or is in ATTRIBUTES.
const ATTRIBUTES = new Set(["role", "for", "scope", "colspan"]);

function el(tag, properties = {}, ...children) {
	const element = document.createElement(tag);
	for (const [name, value] of Object.entries(properties)) {
		if (value === undefined || value === null || value === false)
			continue;
		if (name.includes("-") || ATTRIBUTES.has(name))
			element.setAttribute(name, value);
		else
			element[name] = value;
	}
	return fill(element, ...children);
}

// Appends elements and texts, and lists of these; nothing for null, false and "".
function fill(element, ...children) {
	for (const child of children.flat(2)) {
		if (child instanceof Node)
			element.append(child);
		else if (child !== undefined && child !== null && child !== false)
			appendShown(element, String(child));
	}
	return element;
}

function byId(id) {
	return document.getElementById(id);
}

function button(text, action, properties = {}) {
	return el("button", { className: "plain", type: "button", onclick: action, ...properties }, text);
}

// Longer texts stall a browser.
const TEXT_MOST = 100000;

// A block of text with colours, cut off if it is very long.
function textBlock(text, className = "") {
	const block = el("pre", { className: `text ${className}`, tabIndex: 0 });
	appendLong(block, text.replace(/\n+$/, ""));
	return block;
}

function appendLong(parent, text, found = "") {
	appendColoured(parent, text.slice(0, TEXT_MOST), found);
	if (text.length > TEXT_MOST)
		parent.append(el("em", {}, `\n… ${count(text.length - TEXT_MOST, "more character")}`));
}

// What is in a view: it scrolls, also by the keyboard.
function scroller(name, id, ...children) {
	return el("div", { className: "scroll", id, tabIndex: 0, role: "region", "aria-label": name }, ...children);
}

function facts(pairs) {
	const list = el("dl", { className: "facts" });
	for (const [name, value] of pairs)
		if (value !== undefined && value !== null && value !== "")
			list.append(el("dt", {}, name), el("dd", {}, value));
	return list;
}

// ---- times: microseconds in, text out

function duration(us) {
	if (us < 0)
		us = 0;
	if (us < 1000)
		return `${Math.round(us)} µs`;
	if (us < 1e6)
		return `${(us / 1000).toFixed(us < 10000 ? 1 : 0)} ms`;
	if (us < 60e6)
		return `${(us / 1e6).toFixed(us < 10e6 ? 2 : 1)} s`;
	const seconds = Math.round(us / 1e6), minutes = Math.floor(seconds / 60);
	if (minutes < 60)
		return `${minutes} min ${seconds % 60} s`;
	return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

// The time since the beginning of the run, which is how the page names moments.
function moment(us, digits = 3) {
	const sign = us < 0 ? "−" : "";
	const seconds = Math.abs(us) / 1e6, minutes = Math.floor(seconds / 60);
	if (!minutes)
		return `${sign}${seconds.toFixed(digits)}`;
	return `${sign}${minutes}:${(seconds % 60).toFixed(digits).padStart(digits ? digits + 3 : 2, "0")}`;
}

function count(number, word, many = `${word}s`) {
	return `${number.toLocaleString("en")} ${number === 1 ? word : many}`;
}

function bytes(number) {
	if (number < 1000)
		return count(number, "byte");
	return number < 1e6 ? `${(number / 1000).toFixed(1)} kB` : `${(number / 1e6).toFixed(1)} MB`;
}
