// The timeline as people use it: the wheel and + and - zoom, dragging and the arrow keys scroll, a click selects a step.

// Browsers have no canvas that is higher, in pixels.
const CANVAS_MOST = 16000;

class Timeline {
	constructor(run, select) {
		this.run = run;
		this.select = select;
		this.canvas = byId("canvas");
		this.tip = byId("tip");
		Object.assign(this, makeLanes(run));
		this.end = Math.max(run.last, 1000);
		this.view = { from: 0, to: this.end };
		this.selected = this.hovered = null;
		this.failures = this.findFailures();
		this.colours = readColours();
		this.canvas.setAttribute("aria-label", `Timeline of ${count(run.steps.length, "step")} on ${count(run.machines.length, "machine")}`);
		this.listen();
		this.resize();
		this.fillLegend();
	}

	// Steps that have failed without an inner one that has, and failures that no step shows.
	findFailures() {
		const marks = this.run.steps.filter(step => step.failed && step.kind !== "run" && !step.children.some(child => child.failed))
			.map(step => ({ time: step.end, machine: step.machine, step }));
		if (!marks.length)
			for (const failure of this.run.failures)
				marks.push({ time: failure.time, machine: null, step: failure.step });
		return marks;
	}

	// ---- drawing

	x(time) {
		return LANE.label + (time - this.view.from) / (this.view.to - this.view.from) * (this.width - LANE.label);
	}

	timeAt(x) {
		return this.view.from + (x - LANE.label) / (this.width - LANE.label) * (this.view.to - this.view.from);
	}

	resize() {
		const scale = Math.min(devicePixelRatio || 1, CANVAS_MOST / this.height);
		this.width = Math.max(this.canvas.parentElement.clientWidth, LANE.label + 50);
		this.canvas.style.height = `${this.height}px`;
		this.canvas.width = Math.round(this.width * scale);
		this.canvas.height = Math.round(this.height * scale);
		this.context = this.canvas.getContext("2d");
		this.context.scale(scale, scale);
		this.draw();
	}

	draw() {
		if (this.drawing)
			return;
		this.drawing = true;
		requestAnimationFrame(() => {
			this.drawing = false;
			drawTimeline(this);
		});
	}

	fillLegend() {
		const kinds = STEP_KINDS.filter(kind => !["run", "cleanup", "start"].includes(kind) && this.run.steps.some(step => step.kind === kind));
		const entry = (className, text) => el("span", {}, el("span", { className: `swatch ${className}` }), text);
		byId("legend").replaceChildren(...kinds.map(kind => entry(`k-${kind}`, kind)),
			...(this.failures.length ? [entry("k-failed", "failed")] : []));
	}

	// ---- the part in sight

	show(from, to) {
		const least = Math.min(this.end, 200);
		const span = Math.min(Math.max(to - from, least), this.end);
		from = Math.min(Math.max((from + to) / 2 - span / 2, 0), this.end - span);
		this.view = { from, to: from + span };
		this.canvas.dataset.from = Math.round(from);
		this.canvas.dataset.to = Math.round(from + span);
		this.draw();
	}

	zoom(factor, at = (this.view.from + this.view.to) / 2) {
		const { from, to } = this.view, span = Math.min(Math.max((to - from) * factor, 200), this.end);
		const share = (at - from) / (to - from);
		this.show(at - share * span, at - share * span + span);
	}

	scroll(part) {
		const by = (this.view.to - this.view.from) * part;
		this.show(this.view.from + by, this.view.to + by);
	}

	all() {
		this.show(0, this.end);
	}

	// Selects a step, and brings it into sight if it is not, or is too small to see.
	pick(step) {
		this.selected = step;
		if (step) {
			const { from, to } = this.view, span = step.end - step.begin;
			if (step.end < from || step.begin > to || (span < (to - from) / 400 && this.view.to - this.view.from < this.end))
				this.show(step.begin - Math.max(span * 2, (to - from) / 2), step.end + Math.max(span * 2, (to - from) / 2));
			this.reveal(laneOf(this, step.machine));
		}
		this.draw();
	}

	reveal(lane) {
		const box = this.canvas.parentElement;
		if (lane.top < box.scrollTop || lane.top + lane.height > box.scrollTop + box.clientHeight)
			box.scrollTop = lane.top - LANE.ruler;
	}

	fit(step) {
		const room = Math.max((step.end - step.begin) * 0.2, 500);
		this.show(step.begin - room, step.end + room);
	}

	// ---- input

	stepAt(x, y) {
		const lane = this.lanes.find(one => y >= one.top && y < one.top + one.height);
		if (!lane || x < LANE.label)
			return null;
		const mark = this.failures.find(one => one.step && laneOf(this, one.machine) === lane && Math.abs(this.x(one.time) - x) < 6 &&
			y < lane.bars + 4);
		if (mark)
			return mark.step;
		const row = Math.floor((y - lane.bars) / (LANE.bar + LANE.gap)), time = this.timeAt(x);
		const near = (this.view.to - this.view.from) / this.width * 2;
		let found = null;
		for (const step of lane.steps)
			if (lane.rows.get(step) === row && step.begin - near <= time && step.end + near >= time) {
				if (!found || Math.abs(step.begin - time) < Math.abs(found.begin - time) || step.failed)
					found = step;
			}
		return found;
	}

	point(event) {
		const box = this.canvas.getBoundingClientRect();
		return [event.clientX - box.left, event.clientY - box.top];
	}

	listen() {
		const { canvas } = this;
		canvas.addEventListener("wheel", event => this.wheel(event), { passive: false });
		canvas.addEventListener("pointerdown", event => this.press(event));
		canvas.addEventListener("pointermove", event => this.move(event));
		canvas.addEventListener("pointerup", event => this.release(event));
		canvas.addEventListener("pointerleave", () => this.hover(null));
		canvas.addEventListener("dblclick", event => {
			const step = this.stepAt(...this.point(event));
			if (step)
				this.fit(step);
			else
				this.all();
		});
		canvas.addEventListener("keydown", event => this.key(event));
		byId("zoom-in").onclick = () => this.zoom(0.5);
		byId("zoom-out").onclick = () => this.zoom(2);
		byId("zoom-all").onclick = () => this.all();
		new ResizeObserver(() => this.resize()).observe(canvas.parentElement);
		watchTheme(() => {
			this.colours = readColours();
			drawTimeline(this); // a page that is being printed draws no other frame
		});
	}

	wheel(event) {
		const sideways = event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY);
		event.preventDefault();
		if (sideways)
			this.scroll((event.deltaX || event.deltaY) / this.width);
		else
			this.zoom(1.0016 ** event.deltaY, this.timeAt(Math.max(this.point(event)[0], LANE.label)));
	}

	press(event) {
		if (event.button)
			return;
		this.drag = { x: event.clientX, from: this.view.from, to: this.view.to, moved: false };
		this.canvas.setPointerCapture(event.pointerId);
	}

	move(event) {
		const { drag } = this;
		if (!drag)
			return this.hover(this.stepAt(...this.point(event)), event);
		const by = (event.clientX - drag.x) / (this.width - LANE.label) * (drag.to - drag.from);
		drag.moved ||= Math.abs(event.clientX - drag.x) > 3;
		this.canvas.classList.toggle("dragged", drag.moved);
		if (drag.moved)
			this.show(drag.from - by, drag.to - by);
		return undefined;
	}

	release(event) {
		const step = this.drag && !this.drag.moved ? this.stepAt(...this.point(event)) : null;
		this.drag = null;
		this.canvas.classList.remove("dragged");
		if (step)
			this.select(step);
	}

	hover(step, event) {
		if (step !== this.hovered)
			this.draw();
		this.hovered = step;
		this.tip.hidden = !step;
		if (!step)
			return;
		this.tip.textContent = `${step.machine ? `${labelText(step.machine, 40)}: ` : ""}${labelText(step.text)} · ${duration(step.end - step.begin)}${step.failed ? " · failed" : ""}`;
		const { width } = this.tip.getBoundingClientRect();
		this.tip.style.left = `${Math.max(Math.min(event.clientX + 12, innerWidth - width - 8), 4)}px`;
		this.tip.style.top = `${event.clientY + 16}px`;
	}

	key(event) {
		const actions = {
			"+": () => this.zoom(0.5), "=": () => this.zoom(0.5), "-": () => this.zoom(2), "0": () => this.all(), Home: () => this.all(),
			ArrowLeft: () => this.scroll(-0.2), ArrowRight: () => this.scroll(0.2),
			Enter: () => this.selected && this.fit(this.selected),
		};
		if (!(event.key in actions) || event.ctrlKey || event.metaKey || event.altKey)
			return;
		event.preventDefault();
		actions[event.key]();
	}
}
