// Drawing the timeline: lanes of bars on a canvas. A lane is the script or a machine; its steps are bars in rows, an
// inner step below its outer one; below a machine's bars stands how dense its console lines are.

const LANE = { label: 132, ruler: 24, bar: 15, gap: 2, density: 14, pad: 7 };

// ---- lanes

// Puts each step of a lane into the first row that is free for it, below its parent's row.
function packLane(steps) {
	steps.sort((a, b) => a.begin - b.begin || a.depth - b.depth);
	const ends = [], rows = new Map();
	for (const step of steps) {
		let parent = step.parent;
		while (parent && !rows.has(parent))
			parent = parent.parent;
		let row = parent ? rows.get(parent) + 1 : 0;
		while (ends[row] > step.begin)
			row++;
		ends[row] = step.end;
		rows.set(step, row);
	}
	return { rows, depth: Math.max(ends.length, 1) };
}

function makeLanes(run) {
	const lanes = [{ name: "script", machine: null, steps: run.steps.filter(step => !step.machine) }];
	for (const machine of run.machines)
		lanes.push({ name: machine.name, machine, steps: run.steps.filter(step => step.machine === machine.name) });
	let top = LANE.ruler;
	for (const lane of lanes) {
		Object.assign(lane, packLane(lane.steps));
		lane.top = top;
		lane.bars = top + LANE.pad;
		lane.densityTop = lane.bars + lane.depth * (LANE.bar + LANE.gap);
		lane.height = LANE.pad * 2 + lane.depth * (LANE.bar + LANE.gap) + (lane.machine ? LANE.density : 0);
		lane.times = lane.machine ? Float64Array.from(lane.machine.lines, line => run.console.time[line]) : null;
		top += lane.height;
	}
	return { lanes, height: top };
}

// ---- the ruler

// A round distance between marks, for so many marks in a span: round in minutes and hours, too.
function roundStep(span, marks) {
	const rough = Math.max(span / marks, 1);
	const long = [10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21600, 43200, 86400].map(seconds => seconds * 1e6);
	if (rough > 5e6 && rough <= 86400e6)
		return long.find(one => one >= rough);
	const power = 10 ** Math.floor(Math.log10(rough));
	for (const factor of [1, 2, 5])
		if (factor * power >= rough)
			return factor * power;
	return 10 * power;
}

function rulerText(us, step) {
	const digits = step >= 1e6 ? 0 : Math.min(Math.ceil(6 - Math.log10(step)), 6);
	return us === 0 ? "0 s" : us < 60e6 ? `${(us / 1e6).toFixed(digits)} s` : moment(us, digits);
}

function drawRuler(draw) {
	const { context, view, colours, width, height } = draw;
	const step = roundStep(view.to - view.from, Math.max((width - LANE.label) / 90, 2));
	context.font = "11px system-ui, sans-serif";
	context.textBaseline = "middle";
	context.textAlign = "left";
	for (let at = Math.ceil(view.from / step) * step; at <= view.to; at += step) {
		const x = Math.round(draw.x(at)) + 0.5;
		context.fillStyle = colours.line;
		context.globalAlpha = 0.6;
		context.fillRect(x, LANE.ruler - 6, 1, height);
		context.globalAlpha = 1;
		context.fillStyle = colours.soft;
		if (x < width - 30)
			context.fillText(rulerText(at, step), x + 4, LANE.ruler / 2);
	}
}

// ---- bars

function barColour(draw, step) {
	return step.failed && !step.children.some(child => child.failed) ? draw.colours.kinds.failed : draw.colours.kinds[step.kind] || draw.colours.kinds.script;
}

// The colour of text, black or white, that has more contrast on a colour "#rrggbb".
function textOn(colour) {
	const [red, green, blue] = [1, 3, 5].map(at => (parseInt(colour.slice(at, at + 2), 16) / 255) ** 2.2);
	return 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.18 ? "#0b0e14" : "#ffffff";
}

function drawText(draw, text, x, y, width) {
	const { context } = draw;
	context.save();
	context.beginPath();
	context.rect(x, y, width, LANE.bar);
	context.clip();
	context.fillText(text, x + 4, y + LANE.bar / 2 + 0.5);
	context.restore();
}

function drawBar(draw, lane, step, seen) {
	const { context, width, colours } = draw;
	const row = lane.rows.get(step);
	const left = Math.max(draw.x(step.begin), LANE.label), right = Math.min(draw.x(step.end), width);
	const y = lane.bars + row * (LANE.bar + LANE.gap);
	// Thousands of steps in one pixel need one bar, but a failed one must be seen.
	if (right < LANE.label || left > width || (right - seen[row] < 0.7 && !step.failed && step !== draw.selected))
		return;
	seen[row] = Math.max(right, left + 1);
	const wide = Math.max(right - left, 1.5);
	const colour = barColour(draw, step);
	context.fillStyle = colour;
	context.globalAlpha = step.kind === "run" || step.kind === "cleanup" ? 0.55 : step.kind === "wait" ? 0.8 : 1;
	context.beginPath();
	context.roundRect(left, y, wide, LANE.bar, Math.min(3, wide / 2));
	context.fill();
	context.globalAlpha = 1;
	if (step.failed) {
		context.strokeStyle = colours.kinds.failed;
		context.lineWidth = 1.5;
		context.stroke();
	}
	if (step.open)
		drawOpenEnd(draw, right, y);
	if (wide > 34) {
		context.fillStyle = step.kind === "run" || step.kind === "cleanup" ? colours.text : textOn(colour);
		context.font = "11px system-ui, sans-serif";
		drawText(draw, labelText(step.text, 120), left, y, wide - 2);
	}
	if (step === draw.selected || step === draw.hovered) {
		context.strokeStyle = step === draw.selected ? colours.text : colours.soft;
		context.lineWidth = 2;
		context.strokeRect(left - 0.5, y - 0.5, wide + 1, LANE.bar + 1);
	}
}

// A step without an end fades away instead of ending.
function drawOpenEnd(draw, right, y) {
	const { context, colours } = draw;
	context.strokeStyle = colours.surface;
	context.lineWidth = 2;
	context.beginPath();
	for (let x = right - 3; x > right - 12 && x > LANE.label; x -= 4) {
		context.moveTo(x, y);
		context.lineTo(x - 3, y + LANE.bar);
	}
	context.stroke();
}

// How many console lines every two pixels have.
function densityOf(draw, lane) {
	const { view, width } = draw, perPixel = (view.to - view.from) / (width - LANE.label), bins = [];
	const linesBefore = time => lowerBound(lane.times.length, index => lane.times[index], time);
	let first = linesBefore(view.from);
	for (let x = LANE.label; x < width && first < lane.times.length; x += 2) {
		const end = linesBefore(view.from + (x + 2 - LANE.label) * perPixel);
		bins.push(end - first);
		first = end;
	}
	return bins;
}

// The height grows with the logarithm, up to that of the densest place in sight.
function drawDensity(draw, lane) {
	const { context, colours } = draw, bins = densityOf(draw, lane);
	const bottom = lane.densityTop + LANE.density, most = Math.log2(1 + bins.reduce((a, b) => Math.max(a, b), 7));
	context.fillStyle = colours.density;
	bins.forEach((lines, index) => {
		if (lines) {
			const high = 2 + Math.log2(1 + lines) / most * (LANE.density - 4);
			context.fillRect(LANE.label + 2 * index, bottom - high, 2, high);
		}
	});
}

// ---- marks

function drawMark(draw, lane, time, colour, shape) {
	const { context, width } = draw;
	const x = draw.x(time);
	if (x < LANE.label - 6 || x > width + 6)
		return;
	const y = lane.top + LANE.pad - 2;
	context.fillStyle = colour;
	context.strokeStyle = draw.colours.surface;
	context.lineWidth = 1;
	context.beginPath();
	if (shape === "failure") {
		context.moveTo(x - 5, y - 5);
		context.lineTo(x + 5, y - 5);
		context.lineTo(x, y + 4);
	} else {
		context.roundRect(x - 5, y - 4, 10, 8, 2);
	}
	context.closePath();
	context.fill();
	context.stroke();
}

function laneOf(draw, machine) {
	return draw.lanes.find(lane => (lane.machine ? lane.name : null) === (machine || null)) || draw.lanes[0];
}

function drawMarks(draw) {
	const { run, colours, context } = draw;
	for (const picture of run.pictures)
		drawMark(draw, laneOf(draw, picture.machine), picture.time, colours.kinds.screen, "screen");
	for (const failure of draw.failures) {
		drawMark(draw, laneOf(draw, failure.machine), failure.time, colours.kinds.failed, "failure");
		const x = draw.x(failure.time);
		context.fillStyle = colours.kinds.failed;
		context.globalAlpha = 0.35;
		if (x >= LANE.label)
			context.fillRect(x - 0.5, LANE.ruler, 1, draw.height);
		context.globalAlpha = 1;
	}
}

// ---- all

function drawLane(draw, lane, index) {
	const { context, colours, width } = draw;
	if (index % 2) {
		context.fillStyle = colours.raised;
		context.globalAlpha = 0.5;
		context.fillRect(0, lane.top, width, lane.height);
		context.globalAlpha = 1;
	}
	const seen = new Float64Array(lane.depth).fill(-1);
	for (const step of lane.steps)
		if (step.end >= draw.view.from && step.begin <= draw.view.to)
			drawBar(draw, lane, step, seen);
	if (lane.machine)
		drawDensity(draw, lane);
	context.fillStyle = colours.surface;
	context.fillRect(0, lane.top, LANE.label - 4, lane.height);
	context.fillStyle = colours.text;
	context.font = "600 12px system-ui, sans-serif";
	context.save();
	context.beginPath();
	context.rect(0, lane.top, LANE.label - 10, lane.height);
	context.clip();
	context.fillText(labelText(lane.name, 40), 14, lane.bars + LANE.bar / 2);
	if (lane.machine && lane.height > 44) {
		context.font = "11px system-ui, sans-serif";
		context.fillStyle = colours.faint;
		context.fillText(count(lane.times.length, "line"), 14, lane.bars + LANE.bar / 2 + 16);
	}
	context.restore();
}

function drawTimeline(draw) {
	const { context, colours, width, height } = draw;
	context.clearRect(0, 0, width, height);
	context.fillStyle = colours.surface;
	context.fillRect(0, 0, width, height);
	drawRuler(draw);
	context.textBaseline = "middle";
	draw.lanes.forEach((lane, index) => drawLane(draw, lane, index));
	drawMarks(draw);
	context.fillStyle = colours.line;
	for (const lane of draw.lanes)
		context.fillRect(0, lane.top, width, 1);
	context.fillRect(LANE.label - 4, 0, 1, height);
}
