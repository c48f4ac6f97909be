// The script with the time and the state of each line, and the tests with their outcomes.

const KEYWORDS = /^(?:and|as|assert|async|await|break|class|continue|def|del|elif|else|except|finally|for|from|global|if|import|in|is|lambda|nonlocal|not|or|pass|raise|return|try|while|with|yield|None|True|False)$/;
const TOKEN = /("""|'''|[rbfu]{0,2}"(?:[^"\\]|\\.)*"|[rbfu]{0,2}'(?:[^'\\]|\\.)*')|(#.*$)|([A-Za-z_]\w*)/g;

// A line of Python, a little coloured.
function appendCode(parent, text) {
	let at = 0;
	for (const match of text.matchAll(TOKEN)) {
		const kind = match[1] ? "tok-s" : match[2] ? "tok-c" : KEYWORDS.test(match[3]) ? "tok-k" : "";
		if (!kind)
			continue;
		appendShown(parent, text.slice(at, match.index));
		parent.append(el("span", { className: kind }, match[0]));
		at = match.index + match[0].length;
	}
	appendShown(parent, text.slice(at));
}

// What happened at each line of a source: { steps, spent, failed, open }. Only the outermost step of a line has its time.
function linesOf(run, source) {
	const lines = new Map();
	const at = line => {
		if (!lines.has(line))
			lines.set(line, { steps: [], spent: 0, failed: false, open: false, failures: [] });
		return lines.get(line);
	};
	for (const step of run.steps) {
		if (step.source !== source.number || !step.line || step.kind === "run" || step.kind === "test")
			continue;
		const line = at(step.line);
		line.steps.push(step);
		line.failed ||= step.failed;
		line.open ||= step.open;
		if (!step.parent || step.parent.line !== step.line || step.parent.source !== step.source)
			line.spent += step.end - step.begin;
	}
	for (const failure of run.failures)
		if (failure.source === source.number && failure.line) {
			at(failure.line).failed = true;
			at(failure.line).failures.push(failure);
		}
	return lines;
}

class Script {
	constructor(run, go) {
		this.run = run;
		this.go = go;
		this.element = el("div", { className: "source" });
		this.values = el("pre", { className: "values", hidden: true, tabIndex: 0 });
		this.list = new List({
			height: 20, label: "Script", make: (index, row) => this.make(index, row),
			pick: index => this.chosen(index + 1),
		});
		this.sources = [...run.sources.values()];
		const choice = el("select", { "aria-label": "File" }, this.sources.map(source => el("option", { value: source.number }, source.name)));
		choice.onchange = () => this.open(run.sources.get(Number(choice.value)));
		this.choice = choice;
		this.legend = el("span", { className: "count" });
		this.element.append(el("div", { className: "tools" }, this.sources.length > 1 ? choice : el("strong", {}, this.sources[0].name), this.legend),
			this.list.element, this.values);
		this.open(this.sources[0]);
	}

	open(source) {
		this.source = source;
		this.choice.value = source.number;
		this.lines = linesOf(this.run, source);
		this.legend.textContent = `${count(source.lines.length, "line")}, ${[...this.lines.values()].length} with steps`;
		this.list.selected = -1;
		this.list.element.scrollTop = 0;
		this.list.show(source.lines.length);
		this.tell(0);
	}

	// Shows the values of a failure at a line below the script; of a line without one, those of the last line that has.
	tell(number) {
		if (!this.hasError(number))
			number = Math.max(...[...this.lines.keys()].filter(one => this.hasError(one)), 0);
		const line = this.lines.get(number);
		const failure = line && line.failures[0];
		const error = failure ? failure.text : line && line.steps.map(step => step.error).find(Boolean);
		this.values.hidden = !error;
		this.values.replaceChildren();
		if (error)
			appendShown(this.values, `line ${number}: ${error}`);
	}

	hasError(number) {
		const line = this.lines.get(number);
		return line && (line.failures.length || line.steps.some(step => step.error));
	}

	chosen(number) {
		const line = this.lines.get(number);
		this.tell(number);
		if (line && line.steps.length)
			this.go.step(line.steps.find(step => step.failed) || line.steps[0], false);
	}

	make(index, row) {
		const line = this.lines.get(index + 1);
		const state = !line ? "" : line.failed ? "failed" : line.open ? "open" : "ran";
		if (state)
			row.classList.add("ran", state);
		const code = el("span", { className: "code" });
		appendCode(code, this.source.lines[index]);
		fill(row, el("span", { className: "number" }, index + 1),
			el("span", { className: "state", title: state }, { "": "", failed: "✗", open: "…", ran: "✓" }[state]),
			el("span", { className: "spent" }, line && line.steps.length ? duration(line.spent) : ""), code);
		if (state)
			row.setAttribute("aria-label", `line ${index + 1}, ${state}: ${labelText(this.source.lines[index])}`);
	}

	// Brings the line of a step, or of a failure, into sight.
	pick(step) {
		const place = step.kind ? placeOf(this.run, step) : step, source = this.run.sources.get(place.source);
		if (!source || !place.line)
			return;
		if (source !== this.source)
			this.open(source);
		this.list.select(place.line - 1);
		this.tell(place.line);
	}
}

// ---- tests

class Tests {
	constructor(run, go) {
		this.tests = testsOf(run);
		this.run = run;
		this.list = new List({
			height: 28, label: "Tests", make: (index, row) => this.make(this.shown[index], row),
			pick: index => go.step(this.shown[index], false), go: index => go.step(this.shown[index]),
		});
		const search = el("input", { type: "search", id: "test-search", placeholder: "Search tests", "aria-label": "Search tests" });
		const only = el("select", { id: "test-only", "aria-label": "Outcome" },
			["every outcome", "passed", "failed", "skipped", "open"].map(word => el("option", { value: word }, word === "open" ? "without an end" : word)));
		search.oninput = only.onchange = () => this.apply(search.value.toLowerCase(), only.value);
		this.counter = el("span", { className: "count", role: "status" });
		this.element = el("div", {}, el("div", { className: "tools" }, search, only, this.counter), this.list.element);
		this.apply("", "every outcome");
	}

	apply(words, outcome) {
		this.shown = this.tests.filter(test => plainText(test.text).toLowerCase().includes(words) &&
			(outcome === "every outcome" || stateOf(test) === outcome));
		const failed = this.tests.filter(test => test.failed).length;
		this.counter.textContent = `${this.shown.length} of ${count(this.tests.length, testWord(this.tests))}${failed ? `, ${failed} failed` : ""}`;
		this.list.selected = -1;
		this.list.show(this.shown.length);
	}

	make(test, row) {
		const state = stateOf(test), mark = { passed: "good", failed: "bad", skipped: "unknown", open: "unknown" }[state];
		row.classList.add("step");
		row.style.height = "28px";
		fill(row, el("span", { className: `badge ${mark}` }, state === "open" ? "no end" : state),
			el("span", { className: "what" }, labelText(test.text, 300)), el("span", { className: "took" }, duration(test.end - test.begin)));
		row.title = labelText(test.skipped || errorOf(this.run, test) || test.text, 500);
	}

	pick(step) {
		for (; step; step = step.parent) {
			const at = this.shown.indexOf(step);
			if (at >= 0)
				return this.list.select(at);
		}
		return this.list.select(-1);
	}
}
