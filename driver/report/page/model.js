// The run as the page knows it, made of its events in their order.
//
// All times are microseconds since the first line of the data. A step is { id, parent, children, kind, text, machine,
// begin, end, open, failed, thread, source, line, commands, messages, error, observed, pictures, subtest, attributes,
// index, depth }; an end that is missing is the end of the data.

function newRun() {
	return {
		zero: null, wall: null, last: 0,
		machines: [], byName: new Map(),
		steps: [], byId: new Map(), top: [],
		console: { time: [], machine: [], text: [] },
		messages: [], failures: [], errors: [], pictures: [], texts: [], network: [], seeds: [],
		sources: new Map(), pids: new Map(), facts: {}, runEnd: null, leftOut: 0,
	};
}

function machineOf(run, name) {
	let machine = run.byName.get(name);
	if (!machine) {
		machine = { name, index: run.machines.length, lines: [], states: [], facts: {} };
		run.machines.push(machine);
		run.byName.set(name, machine);
	}
	return machine;
}

// ---- steps

function addStep(run, step) {
	step.parent = run.byId.get(step.parentId) || null;
	step.depth = step.parent ? step.parent.depth + 1 : 0;
	step.index = run.steps.length;
	(step.parent ? step.parent.children : run.top).push(step);
	run.steps.push(step);
	run.byId.set(step.id, step);
	return step;
}

function newStep(event, time, more) {
	return {
		id: event.id, parentId: event.parent, children: [], kind: event.step || "command", text: event.text,
		machine: event.machine, begin: time, end: time, open: true, failed: false, thread: event.thread,
		source: event.source || 0, line: event.line || 0, commands: [], messages: [], error: null, observed: "", pictures: [],
		subtest: false, attributes: event.attributes || {}, ...more,
	};
}

function beginStep(run, event, time) {
	addStep(run, newStep(event, time, { subtest: event.kind === "subtest-begin" }));
}

function endStep(run, event, time) {
	const step = run.byId.get(event.id);
	if (!step)
		return;
	step.end = time;
	step.open = false;
	step.failed = event.failed;
	step.skipped = event.attributes && event.attributes.skipped;
}

// A command belongs to the step that waits for it; one that the script has executed by itself is a step.
function endCommand(run, event, time) {
	const command = {
		text: event.text, status: event.status, bytes: event.bytes, begin: time - event.seconds * 1e6, end: time,
		output: (event.attributes && event.attributes.output) || "", errors: (event.attributes && event.attributes.errors) || "",
	};
	const parent = run.byId.get(event.parent);
	if (parent && parent.machine === event.machine && !["script", "test", "run"].includes(parent.kind)) {
		parent.commands.push(command);
		return;
	}
	addStep(run, newStep(event, Math.max(command.begin, 0), {
		id: `command ${event.id}`, end: time, open: false, commands: [command], text: firstLine(event.text) || "a command",
	}));
}

// ---- details

function addNetwork(run, event, time) {
	const numbers = event.attributes || {};
	run.network.push({ time, name: event.text, pids: numbers.pids, frames: Number(numbers.frames) || 0,
		dropped: Number(numbers.dropped) || 0, seconds: Number(numbers.seconds) || 1 });
}

function addFailure(run, event, time) {
	run.failures.push({
		time, text: event.text, traceback: (event.attributes && event.attributes.traceback) || "", source: event.source || 0,
		line: event.line || 0, step: run.byId.get(event.parent) || null,
	});
}

const DETAILS = {
	"run"(run, event) {
		const { pid, ...facts } = event.attributes || {};
		if (pid)
			run.pids.set(pid, event.machine);
		if (event.machine)
			Object.assign(machineOf(run, event.machine).facts, facts);
		else
			run.facts = { "command line": event.text, ...event.attributes };
	},
	"source"(run, event) {
		run.sources.set(event.source, {
			number: event.source, name: (event.attributes && event.attributes.name) || "script", lines: event.text.split("\n"),
		});
	},
	"step-error"(run, event) {
		const step = run.byId.get(event.parent);
		if (step)
			step.error = event.text;
	},
	"observation"(run, event) {
		const step = run.byId.get(event.parent);
		if (step)
			step.observed = event.text;
	},
	"seed"(run, event) {
		run.seeds.push([event.text, (event.attributes && event.attributes.seed) || ""]);
	},
	"failure": addFailure,
	"picture"(run, event, time) {
		const step = run.byId.get(event.parent) || null;
		const picture = { time, path: event.text, machine: event.machine, step, data: null };
		run.pictures.push(picture);
		if (step)
			step.pictures.push(picture);
	},
	"screen-text"(run, event, time) {
		const since = Number(event.attributes && event.attributes.seconds) || 0;
		run.texts.push({ time: Math.max(time - since * 1e6, 0), text: event.text, machine: event.machine, step: run.byId.get(event.parent) || null });
	},
	"network": addNetwork,
};

// ---- events

function addMessage(run, event, time) {
	const step = run.byId.get(event.parent) || null;
	const message = { time, level: event.level, text: event.text, machine: event.machine, step, line: event.line || 0 };
	run.messages.push(message);
	if (step)
		step.messages.push(message);
}

const KINDS = {
	"message": addMessage,
	"nest-begin": beginStep,
	"subtest-begin": beginStep,
	"nest-end": endStep,
	"subtest-end": endStep,
	"test-error"(run, event, time) {
		run.errors.push({ time, text: event.text, step: run.byId.get(event.parent) || null });
	},
	"run-end"(run, event, time) {
		run.runEnd = { time, text: event.text, seconds: event.seconds, failed: event.failed };
	},
	"state"(run, event, time) {
		machineOf(run, event.machine).states.push({ time, from: event.from, to: event.to });
	},
	"command-end": endCommand,
	"detail"(run, event, time) {
		const add = Object.hasOwn(DETAILS, event.detail) && DETAILS[event.detail];
		if (add)
			add(run, event, time);
	},
};

function addConsole(run, [, time, name, text]) {
	const machine = machineOf(run, name);
	time = Math.max(time - run.zero, 0);
	machine.lines.push(run.console.time.length);
	run.console.time.push(time);
	run.console.machine.push(machine.index);
	run.console.text.push(text);
	if (time > run.last)
		run.last = time;
}

// The first of so many indices at which the ascending values are not below `value`.
function lowerBound(length, valueAt, value) {
	let low = 0, high = length;
	while (low < high) {
		const middle = (low + high) >> 1;
		if (valueAt(middle) < value)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

// Takes a line of the data.
function addLine(run, value) {
	if (Array.isArray(value)) {
		if (run.zero !== null && value[0] === "c")
			addConsole(run, value);
		else if (value[0] === "d")
			run.leftOut += value[1];
		return;
	}
	const time = Math.round(value.monotonic * 1e6);
	if (run.zero === null) {
		run.zero = time;
		run.wall = Date.parse(value.wall);
	}
	const since = Math.max(time - run.zero, 0);
	if (since > run.last)
		run.last = since;
	if (value.machine)
		machineOf(run, value.machine);
	if (Object.hasOwn(KINDS, value.kind))
		KINDS[value.kind](run, value, since);
}

// The files come in the order of their events.
function addPicture(run, path, base64) {
	const picture = run.pictures.find(one => one.path === path && !one.data);
	if (picture && /^[A-Za-z0-9+/=]+$/.test(base64))
		picture.data = `data:image/png;base64,${base64}`;
}

function finishRun(run) {
	for (const step of run.steps)
		if (step.open)
			step.end = run.last;
	// The exception of a script is told when the step of the whole script has ended.
	const script = run.steps.find(step => step.kind === "run") || null;
	for (const failure of run.failures)
		failure.step ||= script;
	run.machines.sort((a, b) => a.name < b.name ? -1 : a.name > b.name ? 1 : 0);
	run.machineNames = [];
	for (const machine of run.machines)
		run.machineNames[machine.index] = machine.name;
	run.pictures = run.pictures.filter(picture => picture.data);
	for (const step of run.steps)
		step.pictures = step.pictures.filter(picture => picture.data);
}
