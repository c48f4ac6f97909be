// Pictures of screens, that at the failure large, with the text that was read from the screen; and the networks.

function captionOf(picture) {
	return `${picture.machine || "a machine"}, ${moment(picture.time)} s, ${picture.path.split("/").pop()}`;
}

// The text that was read from the machine's screen as it was at about the time of the picture: the nearest one.
function screenText(run, picture) {
	const far = text => Math.abs(text.time - picture.time);
	const near = run.texts.filter(text => text.machine === picture.machine && far(text) < 10e6);
	return near.reduce((best, text) => best && far(best) <= far(text) ? best : text, null);
}

// The machine that a step is about, or the last step in it that is about one.
function machineAt(step) {
	for (let at = step; at; at = at.children[at.children.length - 1])
		if (at.machine)
			return at.machine;
	return null;
}

// The picture of the failure, which is taken after it, of the machine that the failed step is about; null: none.
function failurePicture(run) {
	if (!run.runEnd || !run.runEnd.failed)
		return null;
	const step = failedStep(run), machine = machineAt(step), after = run.pictures.filter(picture => !step || picture.time >= step.end);
	return after.find(picture => picture.machine === machine) || after[0] || run.pictures[run.pictures.length - 1] || null;
}

function makeScreens(run, go) {
	const failed = failurePicture(run);
	const ordered = failed ? [failed, ...run.pictures.filter(picture => picture !== failed)] : run.pictures;
	const near = new Map(ordered.map(picture => [picture, screenText(run, picture)])), shown = new Set(near.values());
	const figures = ordered.map(picture => {
		const text = near.get(picture);
		const image = el("img", { src: picture.data, alt: `The screen of ${captionOf(picture)}`, loading: "lazy" });
		const frame = el("button", { className: "picture", type: "button", title: "Larger, or smaller", "aria-expanded": String(picture === failed) }, image);
		const figure = el("figure", { className: picture === failed ? "large" : "" }, el("div", {}, frame,
			el("figcaption", {}, picture === failed ? "After the failure: " : "", captionOf(picture), " ",
				picture.step ? el("button", { className: "link", type: "button", onclick: () => go.step(picture.step) }, "its step") : null)),
		text ? el("div", { className: "read" }, el("figcaption", {}, `Text that was read, ${moment(text.time)} s`), textBlock(text.text || "(none)")) : null);
		frame.onclick = () => frame.setAttribute("aria-expanded", String(figure.classList.toggle("large")));
		return figure;
	});
	const texts = run.texts.filter(text => !shown.has(text));
	return el("div", {}, scroller("Screens", "screens", el("div", { className: "screens" }, figures),
		texts.length ? el("h3", {}, "Text that was read from screens") : null,
		texts.map(text => [el("p", { className: "caption" }, `${text.machine}, ${moment(text.time)} s`), textBlock(text.text || "(none)")])));
}

// ---- networks

// Whose process a client of a network is: one of these, of which each has started the one before.
function clientName(run, pids) {
	const owner = pids.split(" ").find(pid => run.pids.has(pid));
	return owner ? run.pids.get(owner) : `process ${pids.split(" ")[0]}`;
}

// The samples of each network, and of each client on it, which are the frames that it has sent.
function networkSeries(run) {
	const series = new Map();
	for (const sample of run.network) {
		const name = sample.pids ? `${sample.name}, from ${clientName(run, sample.pids)}` : sample.name;
		if (!series.has(name))
			series.set(name, []);
		series.get(name).push(sample);
	}
	return [...series].sort(([a], [b]) => a < b ? -1 : 1);
}

function svg(tag, attributes, ...children) {
	const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
	for (const [name, value] of Object.entries(attributes))
		element.setAttribute(name, value);
	element.append(...children);
	return element;
}

// A curve of a value in each second; where there is no sample, nothing was carried.
function curve(run, samples, value, most, className) {
	const points = [[0, 0]];
	for (const sample of samples) {
		const [last] = points[points.length - 1], begin = Math.max(sample.time - sample.seconds * 1e6, last);
		if (begin - last > 0.05 * sample.seconds * 1e6)
			points.push([last, 0], [begin, 0]);
		const high = value(sample) / sample.seconds;
		points.push([Math.min(begin, sample.time), high], [sample.time, high]);
	}
	points.push([points[points.length - 1][0], 0], [run.last, 0]);
	return svg("polyline", {
		class: className, points: points.map(([x, y]) => `${(x / run.last * 1000).toFixed(2)},${(98 - y / most * 94).toFixed(2)}`).join(" "),
	});
}

function makeNetwork(run) {
	const charts = networkSeries(run).map(([name, samples]) => {
		const frames = samples.reduce((sum, sample) => sum + sample.frames, 0);
		const dropped = samples.reduce((sum, sample) => sum + sample.dropped, 0);
		const most = Math.max(...samples.map(sample => Math.max(sample.frames, sample.dropped) / sample.seconds), 1);
		return [el("h3", {}, `${name}: ${count(frames, "frame")}, at most ${Math.round(most).toLocaleString("en")} a second${dropped ? `, ${dropped.toLocaleString("en")} dropped` : ""}`),
			svg("svg", { class: "chart", viewBox: "0 0 1000 100", preserveAspectRatio: "none", role: "img", "aria-label": `Frames a second of ${name}` },
				curve(run, samples, sample => sample.frames, most, "frames"),
				...(dropped ? [curve(run, samples, sample => sample.dropped, most, "dropped")] : [])),
			el("div", { className: "axis" }, el("span", {}, "0 s"), el("span", {}, `${moment(run.last, 1)} s`))];
	});
	return el("div", {}, scroller("Network", "network", charts));
}
