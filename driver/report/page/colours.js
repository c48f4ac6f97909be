// The colours of the timeline, from the style sheet: a canvas cannot use its variables.

const STEP_KINDS = ["boot", "wait", "command", "check", "file", "screen", "keys", "snapshot", "stop", "test", "script", "start", "run", "cleanup"];

function readColours() {
	const style = getComputedStyle(document.documentElement);
	const read = name => style.getPropertyValue(`--${name}`).trim();
	const colours = { kinds: {} };
	for (const name of ["surface", "raised", "line", "text", "soft", "faint", "accent", "density", "bad", "page"])
		colours[name] = read(name);
	for (const kind of [...STEP_KINDS, "failed"])
		colours.kinds[kind] = read(`kind-${kind}`);
	return colours;
}

// Calls `changed` whenever the theme does; paper has a theme of its own.
function watchTheme(changed) {
	matchMedia("screen and (prefers-color-scheme: dark)").addEventListener("change", changed);
}
