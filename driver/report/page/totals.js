// What the events mean together: how the run ended, what failed first, where the time went.

// { className, word }, and without an end what is `told` of it.
function verdictOf(run, read) {
	if (run.runEnd)
		return run.runEnd.failed ? { className: "bad", word: "Failed" } : { className: "good", word: "Passed" };
	if (read.killed)
		return { className: "bad", word: "Killed", told: "the driver was killed" };
	if (read.unwritten)
		return { className: "bad", word: "No end", told: "the driver could not write this page to its end" };
	if (read.ended)
		return { className: "bad", word: "No end", told: "not in the events: the driver was killed, or their file is not whole" };
	return { className: "unknown", word: "Unfinished", told: "the driver still runs, or was killed with all that it had started" };
}

// How long the run took, as the driver says, or as far as the data go.
function lengthOf(run) {
	return run.runEnd ? run.runEnd.seconds * 1e6 : run.last;
}

// What a reader has to know before the rest.
function noticeOf(run, read) {
	const parts = [];
	if (run.zero === null)
		parts.push("There is nothing in this page: the driver was ended before its first event, or has only begun.");
	else if (!run.runEnd)
		parts.push(`The end of this run is not here: ${verdictOf(run, read).told}. The page shows everything up to then.`);
	if (read.damaged)
		parts.push(`${count(read.damaged, "part")} of the data could not be read.`);
	if (run.leftOut)
		parts.push(`${count(run.leftOut, "console line")} are not in this page; the raw console files have them.`);
	return parts.join(" ");
}

// The step that the run's first failure is about: the innermost one that has failed.
function failedStep(run) {
	let step = run.steps.find(one => one.failed && one.kind !== "run" && one.kind !== "cleanup");
	for (let inner; step && (inner = step.children.find(one => one.failed)); step = inner)
		;
	// The script may have caught that error, and failed of another one.
	const last = run.failures.length ? run.failures[0].step : null;
	return step || last || run.steps.find(one => one.failed) || null;
}

// The first error, in one sentence.
function firstError(run) {
	if (run.runEnd && !run.runEnd.failed)
		return "";
	if (run.failures.length)
		return run.failures[0].text;
	const told = run.errors.find(error => error.text.trim() && !/^(Traceback|\s+File )/.test(error.text));
	if (told)
		return told.text;
	const step = run.steps.find(one => one.error);
	if (step)
		return step.error;
	const message = run.messages.find(one => one.level === "error");
	if (message)
		return message.text;
	if (run.runEnd)
		return `The run ended with ${run.runEnd.text}.`;
	const open = run.steps.filter(one => one.open && !["run", "cleanup"].includes(one.kind)).pop();
	return open ? `The last step did not end: ${open.text}` : "";
}

// ---- where the time went

const SPENDING = { boot: "boot", wait: "waiting", stop: "waiting", command: "commands" };
const SPENT_KINDS = ["boot", "waiting", "commands", "rest"];

// Adds the time of `step` alone, without that of counted steps in it, to `sums`.
function spend(step, sums) {
	const word = SPENDING[step.kind];
	let inner = 0;
	for (const child of step.children)
		inner += spend(child, sums);
	if (!word)
		return inner;
	sums[word] += Math.max(step.end - step.begin - inner, 0);
	return step.end - step.begin;
}

function spentOf(steps, total) {
	const sums = { boot: 0, waiting: 0, commands: 0, rest: 0 };
	for (const step of steps)
		spend(step, sums);
	sums.rest = Math.max(total - sums.boot - sums.waiting - sums.commands, 0);
	return sums;
}

function rowsOfTime(run) {
	const rows = [];
	const script = run.steps.find(step => step.kind === "run" && !step.parent) || null;
	rows.push({ name: "the whole run", total: lengthOf(run), spent: spentOf(run.top, lengthOf(run)), step: script });
	for (const step of run.steps)
		if (step.kind === "test" || step.subtest)
			rows.push({ name: step.text, total: step.end - step.begin, spent: spentOf([step], step.end - step.begin), step });
	for (const machine of run.machines) {
		const own = run.steps.filter(step => step.machine === machine.name && (!step.parent || step.parent.machine !== machine.name));
		const total = own.reduce((sum, step) => sum + step.end - step.begin, 0);
		if (total)
			rows.push({ name: machine.name, total, spent: spentOf(own, total), step: null, machine: true });
	}
	return rows;
}

function longestWaits(run, most = 10) {
	return run.steps.filter(step => step.kind === "wait" || step.kind === "boot" || step.kind === "stop")
		.sort((a, b) => (b.end - b.begin) - (a.end - a.begin)).slice(0, most);
}

// Tests and subtests, in their order.
function testsOf(run) {
	const tests = run.steps.filter(step => step.kind === "test");
	return tests.length ? tests : run.steps.filter(step => step.subtest);
}

function testWord(tests) {
	return tests.some(step => step.kind === "test") ? "test" : "subtest";
}

function stateOf(step) {
	if (step.open)
		return "open";
	return step.skipped ? "skipped" : step.failed ? "failed" : "passed";
}
