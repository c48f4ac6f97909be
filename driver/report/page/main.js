// Puts the page together: reads the data, makes the views, and has a selected step shown in all of them.

const KEYS = [
	["j, k", "next and previous step"], ["f", "the first failure"], ["/", "search steps"], ["c", "search the console"],
	["+, −", "zoom"], ["← →", "scroll the timeline"], ["0", "the whole run"], ["Enter", "fit the selected step (in the timeline)"],
	["1 … 9", "views"], ["?", "this list"],
];

class Page {
	constructor(run, read) {
		this.run = run;
		this.read = read;
		this.selected = null;
		this.go = {
			step: (step, show = true) => this.select(step, show),
			script: step => this.open("script", () => this.views.script.pick(step)),
			console: step => this.open("console", () => this.views.console.pick(step)),
		};
		this.views = {};
		this.headline();
		this.tabs();
		this.timeline = new Timeline(run, step => this.select(step));
		this.steps = new Steps(run, step => this.select(step));
		this.keys();
	}

	// ---- the headline

	headline() {
		const { run, read } = this, verdict = verdictOf(run, read), error = firstError(run), notice = noticeOf(run, read);
		const script = [...run.sources.values()][0];
		const title = run.facts.script ? run.facts.script.split("/").filter(Boolean).pop() : script ? script.name : "Test report";
		byId("verdict").textContent = verdict.word;
		byId("verdict").className = `verdict ${verdict.className}`;
		byId("title").textContent = labelText(title);
		document.title = `${verdict.word}: ${labelText(title)}`;
		const tests = testsOf(run), failed = tests.filter(test => test.failed).length;
		byId("summary").textContent = [
			duration(lengthOf(run)), count(run.machines.length, "machine"),
			tests.length ? `${count(tests.length, testWord(tests))}${failed ? `, ${failed} failed` : ""}` : count(run.steps.length, "step"),
		].join(" · ");
		byId("error").hidden = !error;
		byId("error").replaceChildren();
		appendShown(byId("error"), error.slice(0, 4000).trim().split("\n").slice(0, 6).join("\n"));
		byId("notice").hidden = !notice;
		byId("notice").textContent = notice;
		this.failed = failedStep(run);
		if (!this.failed && !run.runEnd) // of a run that was killed: what it was doing
			this.failed = run.steps.filter(step => step.open && step.kind !== "run").pop() || null;
		byId("go-failure").hidden = !this.failed;
		if (!run.runEnd)
			byId("go-failure").textContent = "Go to the last step";
		byId("go-failure").onclick = () => this.select(this.failed);
	}

	// ---- views

	tabs() {
		const { run } = this, tests = testsOf(run);
		const tabs = [
			["step", "Step", () => ({ element: el("div") })],
			tests.length ? ["tests", testWord(tests) === "test" ? "Tests" : "Subtests", () => new Tests(run, this.go), tests.length] : null,
			run.sources.size ? ["script", "Script", () => new Script(run, this.go)] : null,
			["console", "Console", () => new Consoles(run, this.go), run.console.time.length],
			run.pictures.length || run.texts.length ? ["screens", "Screens", () => ({ element: makeScreens(run, this.go) }), run.pictures.length] : null,
			["times", "Times", () => ({ element: makeTimes(run, this.go) })],
			run.network.length ? ["network", "Network", () => ({ element: makeNetwork(run) })] : null,
			["run", "Run", () => ({ element: makeRun(run, this.read) })],
		].filter(Boolean);
		this.makers = new Map(tabs.map(([name, , make]) => [name, make]));
		byId("tabs").replaceChildren(...tabs.map(([name, text, , number]) => el("button", {
			type: "button", role: "tab", id: `tab-${name}`, "aria-controls": "view", "aria-selected": "false", onclick: () => this.open(name),
		}, text, number ? el("span", { className: "number" }, number.toLocaleString("en")) : null)));
		byId("view").setAttribute("role", "tabpanel");
		byId("tabs").onkeydown = event => {
			const names = [...this.makers.keys()], by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
			if (by) {
				this.open(names[(names.indexOf(this.tab) + by + names.length) % names.length]);
				byId(`tab-${this.tab}`).focus();
			}
		};
	}

	// Opens a view, which is made when it is first opened; `then` is done with it in sight.
	open(name, then = null) {
		const make = this.makers.get(name);
		if (!make)
			return;
		const first = !this.views[name];
		if (first)
			this.views[name] = make();
		this.tab = name;
		for (const tab of byId("tabs").children) {
			tab.setAttribute("aria-selected", String(tab.id === `tab-${name}`));
			tab.tabIndex = tab.id === `tab-${name}` ? 0 : -1;
		}
		const inside = byId("view").contains(document.activeElement);
		byId("view").replaceChildren(this.views[name].element);
		byId("view").setAttribute("aria-labelledby", `tab-${name}`);
		if (name === "step")
			showStep(this.run, this.selected, this.views.step.element, this.go);
		else if (then)
			then();
		else if (this.selected && this.views[name].pick)
			this.views[name].pick(this.selected);
		if (inside && !byId("view").contains(document.activeElement)) // the keyboard stays in the view
			byId("view").querySelector('[tabindex="0"]')?.focus({ preventScroll: true });
	}

	// ---- the selection

	select(step, show = true) {
		if (!step)
			return;
		this.selected = step;
		this.timeline.pick(step);
		this.steps.pick(step);
		if (this.tab === "step" || (show && ["times", "screens", "network", "run", "tests"].includes(this.tab)))
			this.open("step");
		else if (show && this.views[this.tab].pick)
			this.views[this.tab].pick(step);
		byId("live").textContent = `${labelText(step.text)}, ${duration(step.end - step.begin)}${step.failed ? ", failed" : ""}`;
	}

	// ---- keys

	help() {
		const text = byId("help-text"), shown = text.hidden;
		text.hidden = !shown;
		byId("help").setAttribute("aria-expanded", String(shown));
		text.replaceChildren(...KEYS.map(([keys, what]) => el("div", {}, el("kbd", {}, keys), ` ${what}`)));
	}

	keys() {
		byId("help").onclick = () => this.help();
		const actions = {
			"j": () => this.select(this.steps.neighbour(1)), "k": () => this.select(this.steps.neighbour(-1)),
			"f": () => this.select(this.failed), "/": () => byId("step-search").focus(), "?": () => this.help(),
			"c": () => this.open("console", () => byId("console-search").focus()),
			"+": () => this.timeline.zoom(0.5), "-": () => this.timeline.zoom(2), "0": () => this.timeline.all(),
		};
		[...this.makers.keys()].forEach((name, index) => actions[index + 1] = () => this.open(name));
		addEventListener("keydown", event => {
			const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName) || event.target === byId("canvas");
			if (event.key === "Escape" && event.target.tagName === "INPUT")
				event.target.blur();
			if (typing || event.ctrlKey || event.metaKey || event.altKey || !Object.hasOwn(actions, event.key))
				return;
			event.preventDefault();
			actions[event.key]();
		});
	}
}

async function main() {
	const run = newRun();
	performance.mark("reading");
	const read = await readData(value => addLine(run, value), (path, data) => addPicture(run, path, data));
	finishRun(run);
	const page = new Page(run, read);
	page.open("step");
	if (page.failed && (!run.runEnd || run.runEnd.failed))
		page.select(page.failed);
	performance.mark("ready");
	document.documentElement.dataset.ready = "true";
}

// Shown before there are data, so that the browser has something to paint.
byId("app").hidden = false;
if (typeof DecompressionStream === "undefined")
	byId("verdict").textContent = "This browser is too old for this page";
else
	addEventListener("DOMContentLoaded", () => requestAnimationFrame(() => setTimeout(() => main().catch(error => {
		byId("verdict").textContent = "This page has an error";
		byId("notice").hidden = false;
		byId("notice").textContent = String(error.stack || error);
	}))));
