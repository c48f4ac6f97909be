// The data in the page: elements of the kinds that report/page.h describes, in the order of the run.

function bytesOf(base64) {
	const binary = atob(base64);
	const result = new Uint8Array(binary.length);
	for (let i = 0; i < binary.length; i++)
		result[i] = binary.charCodeAt(i);
	return result;
}

async function unzip(base64) {
	const stream = new Blob([bytesOf(base64)]).stream().pipeThrough(new DecompressionStream("gzip"));
	return new Response(stream).text();
}

// Calls `take` with each line of a text. Returns how many could not be read.
function takeLines(text, take) {
	let damaged = 0;
	for (let at = 0; at < text.length;) {
		let end = text.indexOf("\n", at);
		if (end < 0)
			end = text.length;
		if (end > at) {
			try {
				take(JSON.parse(text.slice(at, end)));
			} catch (error) {
				if (!(error instanceof SyntaxError))
					throw error;
				damaged++;
			}
		}
		at = end + 1;
	}
	return damaged;
}

// Lets the browser paint and take input.
function breathe() {
	return new Promise(resolve => setTimeout(resolve));
}

// Reads everything: line(value), picture(name, base64). Returns whether the end is there, and how many pieces and lines
// could not be read.
async function readData(line, picture) {
	const result = { ended: false, killed: false, unwritten: false, damaged: 0 }, pictures = [];
	const elements = document.querySelectorAll('script[type^="text/x-ntd-"], noscript.tail');
	for (const element of elements) {
		const text = element.textContent;
		if (element.type === "text/x-ntd-end") {
			result.ended = true;
		} else if (element.type === "text/x-ntd-killed") {
			result.killed = true;
		} else if (element.type === "text/x-ntd-unwritten") {
			result.unwritten = true;
		} else if (element.type === "text/x-ntd-picture") {
			pictures.push(text);
		} else if (element.type === "text/x-ntd-lines") {
			try {
				result.damaged += takeLines(await unzip(text), line);
			} catch {
				result.damaged++;
			}
			await breathe();
		} else {
			for (const part of text.split("\n<!--\n").slice(1))
				takeLines(part.split("\n-->", 1)[0], line); // a kill may have cut its last line
		}
		element.remove();
	}
	// A picture stands before the piece with its event.
	for (const text of pictures) {
		const [name, data] = text.split("\n", 2);
		try {
			picture(JSON.parse(name), data);
		} catch {
			result.damaged++;
		}
	}
	return result;
}
