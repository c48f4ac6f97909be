// The list of steps and messages: searched by words, filtered by kind, machine and outcome.

const SLOW = 1e6;

class Steps {
	constructor(run, select) {
		this.run = run;
		this.filter = { words: "", kinds: new Set(), machine: "", only: "all", messages: true };
		this.entries = this.collect();
		this.list = new List({
			height: 26, label: "Steps", make: (index, row) => this.make(this.shown[index], row),
			pick: index => this.shown[index].step && select(this.shown[index].step),
		});
		this.counter = el("span", { className: "count", role: "status" });
		byId("steps").append(this.tools(), this.list.element);
		this.apply();
	}

	// Steps and messages in the order of their times; inner steps follow their outer ones.
	collect() {
		const entries = this.run.steps.map(step => ({ step, time: step.begin, order: step.index, depth: step.depth, words: null }));
		for (const message of this.run.messages)
			entries.push({
				message, time: message.time, order: Infinity, depth: message.step ? message.step.depth + 1 : 0, words: null,
			});
		return entries.sort((a, b) => a.time - b.time || a.order - b.order);
	}

	tools() {
		const present = STEP_KINDS.filter(kind => this.run.steps.some(step => step.kind === kind) && !["run", "cleanup"].includes(kind));
		const search = el("input", { type: "search", id: "step-search", placeholder: "Search steps (/)", "aria-label": "Search steps" });
		search.oninput = () => this.change({ words: search.value.toLowerCase() });
		const machine = el("select", { id: "step-machine", "aria-label": "Machine" }, el("option", { value: "" }, "all machines"),
			this.run.machines.map(one => el("option", { value: one.name }, one.name)));
		machine.onchange = () => this.change({ machine: machine.value });
		const only = el("select", { id: "step-only", "aria-label": "Which steps" },
			el("option", { value: "all" }, "every outcome"), el("option", { value: "failed" }, "failed"),
			el("option", { value: "slow" }, "over a second"));
		only.onchange = () => this.change({ only: only.value });
		const chips = el("div", { className: "chips", role: "group", "aria-label": "Kinds of steps" },
			present.map(kind => this.chip(kind, el("span", { className: `swatch k-${kind}` }), () => this.toggleKind(kind))),
			this.run.messages.length ? this.chip("messages", null, () => this.change({ messages: !this.filter.messages })) : null);
		return el("div", { className: "tools" }, search, this.run.machines.length > 1 ? machine : null, only, this.counter, chips);
	}

	chip(text, swatch, action) {
		const chip = el("button", { className: "plain", type: "button", "aria-pressed": "true" }, swatch, text);
		chip.dataset.kind = text;
		chip.onclick = () => {
			chip.setAttribute("aria-pressed", String(chip.getAttribute("aria-pressed") !== "true"));
			action();
		};
		return chip;
	}

	toggleKind(kind) {
		if (!this.filter.kinds.delete(kind))
			this.filter.kinds.add(kind);
		this.apply();
	}

	change(filter) {
		Object.assign(this.filter, filter);
		this.apply();
	}

	// ---- filtering

	matches(entry) {
		const { filter } = this, one = entry.step || entry.message;
		if (filter.machine && one.machine !== filter.machine)
			return false;
		if (entry.step ? filter.kinds.has(one.kind) : !filter.messages)
			return false;
		if (filter.only === "failed" && !(entry.step ? one.failed || one.open : ["warning", "error"].includes(one.level)))
			return false;
		if (filter.only === "slow" && !(entry.step && one.end - one.begin >= SLOW))
			return false;
		if (!filter.words)
			return true;
		entry.words ||= `${one.machine || ""}: ${plainText(one.text)}`.toLowerCase();
		return entry.words.includes(filter.words);
	}

	apply() {
		const selected = this.shown && this.list.selected >= 0 ? this.shown[this.list.selected] : null;
		this.shown = this.entries.filter(entry => this.matches(entry));
		this.list.selected = -1;
		this.list.show(this.shown.length);
		const steps = this.shown.filter(entry => entry.step).length;
		this.counter.textContent = steps === this.run.steps.length ? count(steps, "step") : `${steps.toLocaleString("en")} of ${count(this.run.steps.length, "step")}`;
		const at = selected ? this.shown.indexOf(selected) : -1;
		if (at >= 0)
			this.list.select(at);
	}

	// ---- rows

	make(entry, row) {
		row.style.paddingLeft = `${12 + Math.min(entry.depth, 12) * 14}px`;
		row.classList.add("step");
		if (entry.message)
			return this.makeMessage(entry.message, row);
		const { step } = entry, state = stateOf(step);
		row.classList.add(state);
		if (step.failed)
			row.classList.add("failed");
		fill(row, el("span", { className: `swatch k-${step.failed && !step.children.some(child => child.failed) ? "failed" : step.kind}` }),
			el("span", { className: "what" }, step.machine ? el("span", { className: "machine" }, `${step.machine} `) : null, labelText(step.text, 300)),
			step.failed ? el("span", { className: "badge bad" }, "failed") : null,
			step.skipped ? el("span", { className: "badge unknown" }, "skipped") : null,
			el("span", { className: "took" }, step.open ? `${duration(step.end - step.begin)}, no end` : duration(step.end - step.begin)));
		row.title = labelText(step.text, 500);
		return undefined;
	}

	makeMessage(message, row) {
		row.classList.add("message", message.level);
		fill(row, el("span", { className: "what" }, message.machine ? el("span", { className: "machine" }, `${message.machine} `) : null,
			labelText(message.text, 300)), el("span", { className: "took" }, moment(message.time)));
		row.title = labelText(message.text, 500);
	}

	pick(step) {
		let at = this.shown.findIndex(entry => entry.step === step);
		if (at < 0 && step) { // hidden by the filter: the filter gives way
			Object.assign(this.filter, { words: "", machine: "", only: "all" });
			this.filter.kinds.delete(step.kind);
			byId("step-search").value = "";
			byId("step-only").value = "all";
			for (const chip of document.querySelectorAll("#steps .chips button"))
				if (chip.dataset.kind === step.kind)
					chip.setAttribute("aria-pressed", "true");
			if (byId("step-machine"))
				byId("step-machine").value = "";
			this.apply();
			at = this.shown.findIndex(entry => entry.step === step);
		}
		this.list.select(at);
	}

	// The step after, or before, the selected one.
	neighbour(by) {
		const from = this.list.selected;
		for (let at = from < 0 ? (by > 0 ? 0 : this.shown.length - 1) : from + by; at >= 0 && at < this.shown.length; at += by)
			if (this.shown[at].step)
				return this.shown[at].step;
		return null;
	}
}
