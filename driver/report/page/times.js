// Where the time went: of the run, of each test and machine; and the longest waits.

const SPENT_COLOURS = { boot: "k-boot", waiting: "k-wait", commands: "k-command", rest: "k-run" };

function shareBar(spent, total) {
	const bar = el("div", { className: "share", role: "img", "aria-label": SPENT_KINDS.map(kind => `${kind} ${duration(spent[kind])}`).join(", ") });
	for (const kind of SPENT_KINDS) {
		const part = el("span", { className: SPENT_COLOURS[kind], title: `${kind} ${duration(spent[kind])}` });
		part.style.width = `${Math.min(spent[kind] / Math.max(total, 1) * 100, 100)}%`;
		bar.append(part);
	}
	return bar;
}

function timeTable(rows, go) {
	const head = el("tr", {}, el("th", { scope: "col" }, ""), el("th", { className: "number", scope: "col" }, "all"),
		SPENT_KINDS.map(kind => el("th", { className: "number", scope: "col" }, el("span", { className: `swatch ${SPENT_COLOURS[kind]}` }), ` ${kind}`)),
		el("th", { scope: "col" }, ""));
	return el("table", { className: "time-table" }, el("thead", {}, head), el("tbody", {}, rows.map(row => el("tr", {
		className: row.step ? "pick" : "", onclick: row.step ? () => go.step(row.step) : null,
	}, el("td", {}, row.step ? el("button", { className: "link", type: "button" }, labelText(row.name, 120)) : labelText(row.name, 120)), el("td", { className: "number" }, duration(row.total)),
	SPENT_KINDS.map(kind => el("td", { className: "number" }, row.spent[kind] >= 1 ? duration(row.spent[kind]) : "–")),
	el("td", {}, shareBar(row.spent, row.total))))));
}

function waitTable(run, go) {
	return el("table", { id: "longest-waits" }, longestWaits(run).map(step => el("tr", { className: "pick", onclick: () => go.step(step) },
		el("td", { className: "number" }, duration(step.end - step.begin)), el("td", {}, step.machine || ""),
		el("td", {}, el("button", { className: "link", type: "button" }, labelText(step.text, 200)), " ",
			step.failed ? el("span", { className: "badge bad" }, "failed") : null,
			step.open ? el("span", { className: "badge unknown" }, "did not end") : null))));
}

function makeTimes(run, go) {
	const rows = rowsOfTime(run);
	const tests = rows.filter(row => !row.machine), machines = rows.filter(row => row.machine);
	return el("div", {}, scroller("Times", "times",
		el("h3", {}, tests.length > 1 ? "The run and its tests" : "The run"), timeTable(tests.slice(0, 200), go),
		machines.length ? [el("h3", {}, "Steps of each machine"), timeTable(machines, go)] : null,
		el("h3", {}, "The longest waits"), waitTable(run, go)));
}
