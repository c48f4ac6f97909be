// How the driver was called, and where more is: facts of the run, and links to the files that lie beside the page.

// Files are linked by the path from the directory of the page: the folder may have been moved as a whole.
function fileLink(path) {
	const safe = path.split("/").filter(part => part && part !== "..").map(encodeURIComponent).join("/");
	return el("a", { href: safe, target: "_blank", rel: "noopener" }, path);
}

const FILE_FACTS = ["junit", "events", "console logs"];

function makeRun(run, read) {
	const given = Object.entries(run.facts).filter(([name]) => !FILE_FACTS.includes(name));
	const files = Object.entries(run.facts).filter(([name, path]) => FILE_FACTS.includes(name) && path);
	return el("div", {}, scroller("Run", "run-facts",
		el("h3", {}, "Run"),
		facts([
			["began", run.wall ? new Date(run.wall).toISOString().replace("T", " ").replace(/\.\d+Z$/, " UTC") : ""],
			["took", duration(lengthOf(run))],
			["end", run.runEnd ? run.runEnd.text : verdictOf(run, read).told],
			...given.map(([name, value]) => [name, name === "command line" ? el("code", {}, value) : value]),
		]),
		run.seeds.length ? [el("h3", {}, "Seeds"), facts(run.seeds)] : null,
		run.machines.length ? el("h3", {}, "Machines") : null,
		facts(run.machines.map(machine => [machine.name, [count(machine.lines.length, "console line"),
			...Object.entries(machine.facts).map(([name, value]) => `${name} ${value}`),
			machine.states.length ? machine.states[machine.states.length - 1].to : ""].filter(Boolean).join(", ")])),
		el("h3", {}, "In this page"),
		facts([
			["machines", run.machines.map(machine => machine.name).join(", ") || "none"],
			["steps", run.steps.length.toLocaleString("en")], ["console lines", run.console.time.length.toLocaleString("en")],
			["console lines left out", run.leftOut ? run.leftOut.toLocaleString("en") : ""],
			["messages", run.messages.length.toLocaleString("en")], ["pictures", run.pictures.length],
		]),
		files.length ? [el("h3", {}, "Files beside this page"), facts(files.map(([name, path]) => [name, fileLink(path)]))] : null));
}
