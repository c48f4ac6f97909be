// Long lists: rows of one height, of which only those in sight are in the document. A screen reader is told how many
// there are. Up, Down, PageUp, PageDown, Home and End move the selection.
//
// make(index, row) fills in a row's element; pick(index) is told of a selection by the user; go(index), if there is one,
// of a click and of Enter in its place. Browsers have elements of about 16 million pixels, which 800,000 rows of 20
// pixels take.

// More rows in the document at a time stall a browser.
const ROWS_MOST = 2000;

class List {
	constructor({ height, make, pick, go, label }) {
		this.height = height;
		this.make = make;
		this.pick = pick;
		this.go = go || pick;
		this.length = 0;
		this.selected = -1;
		this.rows = new Map();
		this.room = el("div", { className: "room", role: "presentation" });
		this.element = el("div", { className: "list", tabIndex: 0, role: "listbox", "aria-label": label }, this.room);
		this.element.addEventListener("scroll", () => this.draw(), { passive: true });
		this.element.addEventListener("keydown", event => this.key(event));
		this.element.addEventListener("click", event => {
			const row = event.target.closest(".row");
			if (row && String(getSelection()) === "")
				this.choose(Number(row.dataset.index), this.go);
		});
		new ResizeObserver(() => this.draw()).observe(this.element);
		addEventListener("beforeprint", () => this.draw(ROWS_MOST));
		addEventListener("afterprint", () => this.draw());
	}

	// Shows so many rows, all of them anew.
	show(length) {
		this.length = length;
		this.room.style.height = `${length * this.height}px`;
		this.refresh();
	}

	refresh() {
		this.room.replaceChildren();
		this.rows.clear();
		this.draw();
	}

	draw(atLeast = 0) {
		const first = Math.max(Math.floor(this.element.scrollTop / this.height) - 8, 0);
		const sight = Math.max(Math.ceil(this.element.clientHeight / this.height) + 16, atLeast);
		const last = Math.min(first + Math.min(sight, ROWS_MOST), this.length);
		for (const [index, row] of this.rows)
			if (index < first || index >= last) {
				row.remove();
				this.rows.delete(index);
			}
		for (let index = first; index < last; index++)
			if (!this.rows.has(index))
				this.add(index);
	}

	add(index) {
		const row = el("div", {
			className: "row", role: "option", id: `${this.id()}-${index}`,
			"aria-setsize": this.length, "aria-posinset": index + 1, "aria-selected": String(index === this.selected),
		});
		row.dataset.index = index;
		row.style.top = `${index * this.height}px`;
		this.make(index, row);
		this.rows.set(index, row);
		const after = this.rows.get(index + 1);
		this.room.insertBefore(row, after || null);
	}

	id() {
		this.name ||= `list${List.count = (List.count || 0) + 1}`;
		return this.name;
	}

	// Selects a row without telling `pick`; -1: none.
	select(index) {
		const before = this.rows.get(this.selected);
		if (before)
			before.setAttribute("aria-selected", "false");
		this.selected = index;
		if (index < 0)
			return this.element.removeAttribute("aria-activedescendant");
		this.reveal(index);
		this.draw();
		const row = this.rows.get(index);
		if (row) {
			row.setAttribute("aria-selected", "true");
			this.element.setAttribute("aria-activedescendant", row.id);
		}
		return undefined;
	}

	choose(index, then = this.pick) {
		this.select(index);
		then(index);
	}

	// Scrolls so that the row is in sight; to the middle if it was far away.
	reveal(index) {
		const top = index * this.height, sight = this.element.clientHeight;
		const near = top >= this.element.scrollTop - this.height && top + this.height <= this.element.scrollTop + sight + this.height;
		if (!near)
			this.element.scrollTop = top - sight / 2;
		else if (top < this.element.scrollTop)
			this.element.scrollTop = top;
		else if (top + this.height > this.element.scrollTop + sight)
			this.element.scrollTop = top + this.height - sight;
	}

	key(event) {
		const page = Math.max(Math.floor(this.element.clientHeight / this.height) - 1, 1);
		const moves = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
		const enters = event.key === "Enter" && this.selected >= 0;
		if (!(Object.hasOwn(moves, event.key) || enters) || !this.length || event.ctrlKey || event.metaKey || event.altKey)
			return;
		event.preventDefault();
		if (enters) {
			this.go(this.selected);
			return;
		}
		this.choose(Math.min(Math.max(this.selected + moves[event.key], 0), this.length - 1));
	}
}
