// The consoles: of one machine, or of all merged by time; searched; with colours.

class Consoles {
	constructor(run, go) {
		this.run = run;
		this.go = go;
		this.machine = null; // null: all
		this.words = "";
		this.onlyFound = false;
		this.step = null;
		this.found = [];
		this.plain = []; // texts as they are searched, made when they are needed
		this.list = new List({
			height: 18, label: "Console lines", make: (index, row) => this.make(index, row), pick: index => this.tell(index),
		});
		this.whole = el("pre", { className: "text", hidden: true, tabIndex: 0, id: "console-line" });
		this.element = el("div", { className: "console" }, this.tools(), this.list.element, this.whole);
		this.element.style.setProperty("--name", `${Math.min(Math.max(...run.machines.map(one => one.name.length), 1), 16)}ch`);
		this.apply();
	}

	tools() {
		const { run } = this;
		this.search = el("input", { type: "search", id: "console-search", placeholder: "Search the console (Enter: next)", "aria-label": "Search the console" });
		this.search.oninput = () => {
			clearTimeout(this.timer);
			this.timer = setTimeout(() => this.find(), run.console.time.length > 50000 ? 150 : 0);
		};
		this.search.onkeydown = event => {
			if (event.key === "Enter")
				this.next(event.shiftKey ? -1 : 1);
		};
		this.choice = el("select", { id: "console-machine", "aria-label": "Machine" }, el("option", { value: "" }, "all, by time"),
			run.machines.map(machine => el("option", { value: machine.name }, machine.name)));
		this.choice.onchange = () => {
			this.machine = run.byName.get(this.choice.value) || null;
			this.apply();
		};
		const only = el("input", { type: "checkbox", id: "console-only" });
		only.onchange = () => {
			this.onlyFound = only.checked;
			this.apply();
		};
		this.counter = el("span", { className: "count", id: "console-count", role: "status" });
		return el("div", { className: "tools" }, this.search, button("‹", () => this.next(-1), { "aria-label": "Previous match" }),
			button("›", () => this.next(1), { "aria-label": "Next match" }), el("label", {}, only, " matches only"),
			run.machines.length > 1 ? this.choice : null, this.counter);
	}

	// ---- which lines

	textOf(line) {
		return this.plain[line] ??= plainText(this.run.console.text[line]).toLowerCase();
	}

	apply() {
		const all = this.machine ? this.machine.lines : null, total = all ? all.length : this.run.console.time.length;
		const lines = new Uint32Array(total);
		for (let i = 0; i < total; i++)
			lines[i] = all ? all[i] : i;
		this.base = this.machine || this.run.machines.length < 2 ? lines : lines.sort((a, b) => this.run.console.time[a] - this.run.console.time[b] || a - b);
		this.find();
	}

	find() {
		this.words = this.search.value.toLowerCase();
		const { words } = this;
		const hits = words ? this.base.filter(line => this.textOf(line).includes(words)) : null;
		this.lines = hits && this.onlyFound ? hits : this.base;
		this.found = [];
		if (hits && this.onlyFound)
			this.found = Array.from(hits.keys());
		else if (hits)
			for (let i = 0, next = 0; i < this.lines.length && next < hits.length; i++)
				if (this.lines[i] === hits[next]) {
					this.found.push(i);
					next++;
				}
		this.at = -1;
		this.list.selected = -1;
		this.list.show(this.lines.length);
		this.count();
		if (this.found.length)
			this.next(1);
	}

	count() {
		const lines = count(this.lines.length, "line");
		this.counter.textContent = !this.words ? lines : !this.found.length ? "nothing found"
			: `${(this.at + 1).toLocaleString("en")} of ${this.found.length.toLocaleString("en")}`;
	}

	next(by) {
		if (!this.found.length)
			return;
		this.at = (this.at + by + this.found.length) % this.found.length;
		this.list.select(this.found[this.at]);
		this.tell(this.found[this.at]);
		this.count();
	}

	// ---- rows

	inStep(line) {
		const { step } = this;
		if (!step)
			return false;
		const { time, machine } = this.run.console;
		return time[line] >= step.begin && time[line] <= step.end && (!step.machine || this.run.machineNames[machine[line]] === step.machine);
	}

	make(index, row) {
		const line = this.lines[index], { time, machine, text } = this.run.console;
		if (this.words && this.textOf(line).includes(this.words))
			row.classList.add("found");
		if (index === this.list.selected)
			row.classList.add("hit");
		if (this.inStep(line))
			row.classList.add("at");
		const body = el("span", { className: "line" });
		appendColoured(body, text[line].slice(0, 2000), this.words);
		fill(row, el("span", { className: "time" }, moment(time[line])),
			this.machine || this.run.machines.length < 2 ? "" : el("span", { className: "name" }, this.run.machineNames[machine[line]]), body);
	}

	// Shows the whole of a line, which the list may have cut off.
	tell(index) {
		const line = this.lines[index];
		this.whole.hidden = line === undefined;
		this.whole.replaceChildren();
		if (line !== undefined)
			appendLong(this.whole, this.run.console.text[line], this.words);
		for (const [at, row] of this.list.rows)
			row.classList.toggle("hit", at === index);
	}

	// Marks the lines of a step's time and scrolls to the first of them.
	pick(step) {
		const wanted = step.machine && this.machine ? this.run.byName.get(step.machine) : this.machine;
		this.step = step;
		if (wanted !== this.machine) {
			this.machine = wanted;
			this.choice.value = wanted.name;
			this.apply();
		}
		const first = lowerBound(this.lines.length, index => this.run.console.time[this.lines[index]], step.begin);
		if (first < this.lines.length)
			this.list.reveal(first);
		this.list.refresh();
	}
}
