// One step: where it stands in the script, its command, how it ended, what was seen last, and the console of its span.

const CONSOLE_SHOWN = 200, ATTEMPTS_SHOWN = 5;

// The first failure that happened in the step, or in a step in it.
function failureIn(run, step) {
	return run.failures.find(failure => {
		for (let at = failure.step; at; at = at.parent)
			if (at === step)
				return true;
		return false;
	});
}

// The failure of the script that has ended a step from within: it is told after the step.
function failureAfter(run, step) {
	return run.failures.find(failure => failure.time >= step.end && failure.source === step.source && failure.line >= step.line);
}

// Where a step is in the sources: where it failed, if it is one of many lines, else where it began.
function placeOf(run, step) {
	const failure = step.failed && (!step.line || step.subtest) ? failureIn(run, step) || failureAfter(run, step) : null;
	return failure && failure.line ? failure : step;
}

function errorOf(run, step) {
	if (step.error)
		return step.error;
	const failure = step.failed && failureIn(run, step);
	if (failure)
		return failure.text;
	const told = run.errors.filter(error => error.step === step).map(error => error.text).join("\n");
	return step.failed ? told.trim() : "";
}

// ---- parts

function stepFacts(run, step, go) {
	const at = placeOf(run, step);
	const source = run.sources.get(at.source);
	const place = source && at.line
		? el("button", { className: "link", type: "button", onclick: () => go.script(at) }, `${source.name}, line ${at.line}`)
		: "";
	const threads = new Set(run.steps.map(one => one.thread)).size;
	return facts([
		["machine", step.machine], ["kind", step.kind], ["began", `${moment(step.begin)} s`],
		["took", step.open ? `${duration(step.end - step.begin)} up to the end of the data` : duration(step.end - step.begin)],
		["script", place],
		["code", place ? el("code", {}, (source.lines[at.line - 1] || "").trim()) : ""],
		["in", step.parent && step.parent.kind !== "run" ? el("button", { className: "link", type: "button", onclick: () => go.step(step.parent) }, labelText(step.parent.text)) : ""],
		["thread", threads > 1 ? step.thread : ""],
	]);
}

function commandParts(command, title) {
	const status = command.status === null || command.status === undefined ? "not known" : String(command.status);
	const failed = command.status !== 0;
	return [
		el("h3", {}, title), textBlock(command.text),
		facts([["exit status", el("span", { className: `badge ${failed ? "bad" : "good"}` }, status)], ["took", duration(command.end - command.begin)],
			["output", command.bytes ? bytes(command.bytes) : "none"]]),
		command.output ? [el("h3", {}, "Standard output"), textBlock(command.output)] : null,
		command.errors ? [el("h3", {}, "Standard error"), textBlock(command.errors)] : null,
	].flat();
}

function commandSection(step) {
	if (!step.commands.length)
		return [];
	const last = step.commands[step.commands.length - 1];
	if (step.kind !== "wait" && step.commands.length === 1)
		return commandParts(last, "Command");
	const shown = step.commands.slice(-ATTEMPTS_SHOWN - 1, -1);
	return [
		...commandParts(last, `${step.observed ? "Last command" : "Last observation"}, of ${count(step.commands.length, "command")}`),
		shown.length ? el("h3", {}, "Before that") : null,
		shown.length ? el("table", {}, shown.map(command => el("tr", {}, el("td", { className: "number" }, moment(command.end)),
			el("td", {}, `status ${command.status ?? "not known"}`), el("td", {}, el("code", {}, labelText(command.output || command.text, 120)))))) : null,
	];
}

function messageSection(step) {
	const shown = step.messages.slice(0, 50);
	return shown.length ? [el("h3", {}, "Messages"), el("table", {}, shown.map(message => el("tr", {},
		el("td", { className: "number" }, moment(message.time)), el("td", {}, labelText(message.text, 2000)))))] : [];
}

// What the wait saw when it ended well; an error of a wait tells it by itself.
function observationSection(run, step) {
	const texts = run.texts.filter(text => text.step === step);
	return [step.observed ? [el("h3", {}, "Last observation"), textBlock(step.observed)] : null,
		texts.length ? [el("h3", {}, `Text that was read last from the screen, ${moment(texts[texts.length - 1].time)} s`),
			textBlock(texts[texts.length - 1].text || "(none)")] : null].flat();
}

function innerSection(step, go) {
	const shown = step.children.slice(0, 100);
	if (!shown.length)
		return [];
	return [el("h3", {}, `Steps in it (${step.children.length})`), el("table", {}, shown.map(child => el("tr", { className: "pick", onclick: () => go.step(child) },
		el("td", { className: "number" }, duration(child.end - child.begin)),
		el("td", {}, el("button", { className: "link", type: "button" }, labelText(child.text, 160)), " ",
			child.failed ? el("span", { className: "badge bad" }, "failed") : null))))];
}

// The lines of the console between the step's ends: of its machine, or of all.
function consoleOf(run, step) {
	const { time } = run.console, machine = step.machine ? run.byName.get(step.machine) : null;
	const lines = machine ? machine.lines : null;
	const line = index => lines ? lines[index] : index;
	const find = value => lowerBound((lines || time).length, index => time[line(index)], value);
	return { first: find(step.begin), end: find(step.end + 1), line, machine };
}

function consoleSection(run, step, go) {
	const span = consoleOf(run, step), total = span.end - span.first;
	if (!total)
		return [el("h3", {}, "Console"), el("p", { className: "empty" }, "Nothing was printed in this time.")];
	const block = el("pre", { className: "text", tabIndex: 0 });
	for (let index = Math.max(span.end - CONSOLE_SHOWN, span.first); index < span.end; index++) {
		const line = span.line(index);
		if (!span.machine)
			block.append(el("span", { className: "a94" }, `${run.machineNames[run.console.machine[line]]} `));
		appendColoured(block, run.console.text[line]);
		block.append("\n");
	}
	const more = total > CONSOLE_SHOWN ? `, the last ${CONSOLE_SHOWN} of ${count(total, "line")}` : ` (${count(total, "line")})`;
	return [el("h3", {}, `Console in this time${more}`), block,
		button("Show in the console", () => go.console(step))];
}

// ---- the whole

function showStep(run, step, view, go) {
	const room = scroller("Step", "step-detail");
	view.replaceChildren(room);
	if (!step) {
		room.append(el("p", { className: "empty" }, "Select a step in the list or in the timeline."));
		return;
	}
	const error = errorOf(run, step), inner = step.failed && step.children.find(child => child.failed);
	const traceback = (step.failed && failureIn(run, step) || {}).traceback;
	fill(room,
		el("h2", {}, el("span", { className: `swatch k-${step.failed ? "failed" : step.kind}` }), " ", labelText(step.text, 2000), " ",
			step.failed ? el("span", { className: "badge bad" }, "failed") : null,
			step.open ? el("span", { className: "badge unknown" }, "did not end") : null,
			step.skipped ? el("span", { className: "badge unknown" }, "skipped") : null),
		[error ? textBlock(error, "bad") : null,
			inner ? el("p", {}, "The inner step that failed: ", el("button", { className: "link", type: "button", onclick: () => go.step(inner) }, labelText(inner.text))) : null,
			step.skipped ? el("p", {}, step.skipped) : null],
		stepFacts(run, step, go),
		step.pictures.map(picture => el("figure", {}, el("img", { src: picture.data, alt: `The screen of ${picture.machine || "a machine"}` }))),
		observationSection(run, step), commandSection(step), messageSection(step), innerSection(step, go), consoleSection(run, step, go));
	if (traceback)
		fill(room, el("h3", {}, "Traceback"), textBlock(traceback));
}
