"""The page of a run (--report) in a browser: what it shows of runs of every kind, how it is used, and that no text of a
guest is anything but text."""

import json
import re

import pytest

import browser
import harness
import report_runs

READY = "document.documentElement.dataset.ready"


@pytest.fixture(scope="module")
def pages(tmp_path_factory, fakes, guests):
    """{name of a run: its page}. All runs are done before there is a browser."""
    def directory(name):
        return tmp_path_factory.mktemp(name)

    client, server = guests.tiny("client", 1, [1]), guests.tiny("server", 2, [1])
    return {
        "readme": report_runs.readme(directory("readme"), {"client": client, "server": server}),
        "pytest": report_runs.pytest_run(directory("pytest"), fakes("client", "server")),
        "killed": report_runs.killed(directory("killed"), fakes("machine")),
        "hostile": report_runs.hostile(directory("hostile"), fakes("machine")),
        "large": report_runs.large(directory("large")),
        "none": report_runs.without_machines(directory("none")),
        "fifty": report_runs.fifty_machines(directory("fifty")),
        "long": report_runs.long_texts(directory("long")),
    }


@pytest.fixture(scope="module")
def chromium(pages):
    with browser.Browser() as chromium:
        yield chromium


@pytest.fixture
def opened(pages, chromium):
    """opened(name) opens the page of a run, and checks in the end that it has complained about nothing."""
    tabs = []

    def open_page(name, **named):
        page = chromium.open(pages[name], **named)
        tabs.append(page)
        if named.get("scripts", True):
            page.wait_for(READY)
        return page

    yield open_page
    for page in tabs:
        assert page.complaints() == []
        page.close()


def view(page, name):
    page.click(f"#tab-{name}")
    assert page.value(f"document.querySelector('#tab-{name}').getAttribute('aria-selected')") == "true"


def facts_of(page):
    return dict(zip(page.texts("#view dt"), page.texts("#view dd")))


def search_console(page, words):
    view(page, "console")
    page.type("#console-search", words)
    page.wait_for("/ of |nothing/.test(document.querySelector('#console-count').textContent)")
    return page.text("#console-count")


def span(page):
    """The part of the run that the timeline shows, in microseconds."""
    return page.value("(() => { const { from, to } = document.querySelector('#canvas').dataset; return [+from, +to]; })()")


# ---- (a) the example of the README


def test_the_example_of_the_readme(opened):
    page = opened("readme")
    assert page.text("#verdict") == "Failed" and page.text("#title") == "script.py"
    assert page.text("#error").startswith("AssertionError: the server calls itself server\nassert 'server' == 'the server'")
    assert "2 machines" in page.text("#summary") and "2 subtests, 1 failed" in page.text("#summary")
    assert page.text("#step-detail h2").split()[:4] == ["the", "server", "knows", "its"]
    assert facts_of(page)["code"].startswith('assert name == "the server"')
    assert page.text(".step[aria-selected='true'] .badge") == "failed"


def test_the_script_with_times_and_values(opened):
    page = opened("readme")
    view(page, "script")
    rows = page.value("""[...document.querySelectorAll('.source .row')].map(row => [row.className.replace(/row|ran/g, '').trim(),
        row.querySelector('.spent').textContent, row.querySelector('.code').textContent])""")
    by_code = {code.strip(): (state, spent) for state, spent, code in rows}
    assert by_code["start_all()"][0] == "" and by_code["start_all()"][1]
    assert by_code['client.wait_until_succeeds("ping -c3 192.168.1.2")'][1].endswith("s")
    assert by_code['print("the server is called", name)'] == ("", "")
    failed = [code.strip() for state, _, code in rows if state == "failed"]
    assert failed[-1] == 'assert name == "the server", f"the server calls itself {name}"'
    assert "assert 'server' == 'the server'" in page.text(".source .values")


def test_screens_of_a_real_guest(opened):
    page = opened("readme")
    view(page, "screens")
    page.wait_for("[...document.images].every(image => image.complete)")
    # the one that the script takes, and those of the failure, of which one is large
    assert page.value("[...document.images].map(image => image.naturalWidth >= 640)") == [True] * 3
    assert page.value("document.querySelectorAll('figure.large').length") == 1
    assert any("before.png" in caption for caption in page.texts("figcaption"))


def test_the_text_of_a_screen_stands_beside_it(opened):
    page = opened("readme")
    view(page, "screens")
    before, = page.value("""[...document.querySelectorAll('figure')].filter(one => one.textContent.includes('before.png')).map(one =>
        [one.querySelector('.read pre').textContent, one.parentElement.querySelectorAll('.read').length])""")
    assert re.search("BusyBox|SeaBIOS|built-in|Booting", before[0], re.I)
    assert page.text("#screens > h3") is None  # no text is left without a picture
    page.click("figure:not(.large):has(.read) .picture")
    boxes = page.value("""[...document.querySelector('figure.large:has(.read)').children].map(one => {
        const { left, right, top } = one.getBoundingClientRect(); return [left, right, top]; })""")
    assert boxes[0][1] <= boxes[1][0] and boxes[0][2] == boxes[1][2]  # side by side


def seconds_in(text):
    minutes, seconds = re.search(r"(?:(\d+):)?(\d+\.\d+) s", text).groups()
    return 60 * int(minutes or 0) + float(seconds)


def test_a_text_has_the_time_of_its_picture(opened, pages):
    """Reading it takes long."""
    events = [json.loads(line) for line in pages["readme"].with_name("events.jsonl").open()]
    picture = next(event for event in events if event.get("detail") == "picture")
    read = next(event for event in events if event.get("detail") == "screen-text")
    later = read["monotonic"] - float(read["attributes"]["seconds"]) - picture["monotonic"]
    page = opened("readme")
    view(page, "screens")
    captions = page.value("""[...[...document.querySelectorAll('figure')].find(one => one.textContent.includes('before.png'))
        .querySelectorAll('figcaption')].map(one => one.textContent)""")
    assert seconds_in(captions[1]) - seconds_in(captions[0]) == pytest.approx(later, abs=0.002)


def test_the_picture_of_the_failure_is_large(opened):
    """That of the machine that the failed step is about, not that which was taken last."""
    page = opened("readme")
    view(page, "screens")
    assert page.text("figure.large figcaption").startswith("After the failure: server, ")
    assert page.value("document.querySelector('figure.large .picture').getAttribute('aria-expanded')") == "true"


def test_the_last_observation_of_waits_that_ended_well(opened):
    page = opened("readme")
    page.type("#step-search", "/proc/version")
    page.click("#steps .step")
    assert "Last observation" in page.texts("#step-detail h3")
    assert page.text("#step-detail pre") == "the agent in the guest saw the file"
    page = opened("pytest")
    page.type("#step-search", "to appear on console")
    page.click("#steps .step")
    assert "Last observation" in page.texts("#step-detail h3") and page.text("#step-detail pre") == "the line: the page is there"


def test_networks_by_machine(opened):
    page = opened("readme")
    view(page, "network")
    titles = page.texts("#network h3")
    assert [re.sub(r": \d+ frames?, at most \d+ a second$", "", title) for title in titles] == [
        "VLAN 1", "VLAN 1, from client", "VLAN 1, from server"]
    whole, *each = [int(re.search(r": (\d+)", title)[1]) for title in titles]
    assert whole == sum(each) and min(each) > 0
    assert page.value("document.querySelectorAll('#network svg polyline').length") == 3


def test_times_and_facts(opened):
    page = opened("readme")
    view(page, "times")
    rows = page.texts(".time-table tbody tr td:first-child")
    assert rows[:3] == ["the whole run", "the client reaches the server", "the server knows its name"]
    assert {"client", "server"} <= set(rows)
    assert any("ping -c3" in text for text in page.texts("#longest-waits tr"))
    view(page, "run")
    facts = facts_of(page)
    assert facts["end"] == "exit status 1" and "--report report.html" in facts["command line"]
    assert "accelerator" in facts["server"] and re.search(r"QEMU \d+\.\d+\.\d+", facts["server"]) and "Python 3." in facts["version"]
    assert facts["events"] == "events.jsonl" and facts["hashes (PYTHONHASHSEED)"] == "7"
    assert facts["starts and networks (--seed)"] == "none"
    assert page.text("#summary").startswith(facts["took"])
    assert page.value("document.querySelector('#view a').getAttribute('href')") in ("events.jsonl", "console-logs")


# ---- (b) pytest with two machines


def test_a_failing_pytest_run(opened):
    page = opened("pytest")
    assert page.text("#verdict") == "Failed" and "4 tests, 2 failed" in page.text("#summary")
    assert page.text("#error").startswith("AssertionError: assert 'goodbye\\n' == 'hello\\n'")
    assert "test_the_client_gets_the_page" in page.text("#step-detail h2")
    assert "> " in page.text("#step-detail") and 'assert page == "hello\\n"' in page.text("#step-detail")
    view(page, "tests")
    assert page.texts("#view .step .badge") == ["passed", "failed", "skipped", "failed"]
    page.type("#test-only", "failed")
    page.type("#test-search", "port")
    assert [text.split("::")[1] for text in page.texts("#view .step .what")] == ["test_the_port_opens"]
    page.click("#view .step")
    assert page.text("#step-detail h2").split("::")[1].startswith("test_the_port_opens")
    page.click("#step-detail .link", nth=0)
    assert "waiting for success" in page.text("#step-detail h2")
    detail = page.text("#step-detail")
    assert "Last observation" in detail and "no connection" in detail and facts_of(page)["exit status"] == "1"
    assert facts_of(page)["code"].startswith("server.wait_until_succeeds")


def test_steps_are_filtered(opened):
    page = opened("pytest")
    everything = page.texts("#steps .step .what")
    page.type("#step-search", "PAGE")
    found = page.texts("#steps .step .what")
    assert 0 < len(found) < len(everything) and all("page" in text.lower() for text in found)
    page.type("#step-search", "")
    page.type("#step-machine", "client")
    assert all(text.startswith("client") for text in page.texts("#steps .step .what"))
    page.type("#step-machine", "")
    page.type("#step-only", "failed")
    failed = page.texts("#steps .step .what")
    assert len(failed) == 3 and any("waiting for success" in text for text in failed)
    page.type("#step-only", "all")
    page.click("#steps .chips [data-kind='messages']")
    page.click("#steps .chips [data-kind='command']")
    rest = page.texts("#steps .step .what")
    assert not any("must succeed" in text or "QEMU running" in text for text in rest) and any("waiting for file" in text for text in rest)


def test_the_timeline_is_used_by_mouse_and_keyboard(opened):
    page = opened("pytest")
    box = page.value("(() => { const { x, y, width } = document.querySelector('#canvas').getBoundingClientRect(); return [x, y, width]; })()")
    page.click("#zoom-all")
    whole = span(page)
    page.mouse("mouseWheel", box[0] + box[2] / 2, box[1] + 60, deltaX=0, deltaY=-400)
    page.wait_for(f"document.querySelector('#canvas').dataset.to < {whole[1]}")
    zoomed = span(page)
    assert whole[0] < zoomed[0] < zoomed[1] < whole[1]
    page.value("document.querySelector('#canvas').focus()")
    page.key("+")
    closer = span(page)
    assert closer[1] - closer[0] < 0.6 * (zoomed[1] - zoomed[0])
    page.key("ArrowRight")
    assert span(page)[0] > closer[0] and span(page)[1] - span(page)[0] == pytest.approx(closer[1] - closer[0], abs=2)
    page.key("0")
    assert span(page) == whole
    # the last test's bar, in the second row of the script's lane
    before = page.text("#step-detail h2")
    page.mouse("mousePressed", box[0] + box[2] * 0.8, box[1] + 24 + 7 + 17 + 7, button="left", clickCount=1)
    page.mouse("mouseReleased", box[0] + box[2] * 0.8, box[1] + 24 + 7 + 17 + 7, button="left", clickCount=1)
    assert "test_the_port_opens" in page.text("#step-detail h2") != before


def test_keys(opened):
    page = opened("pytest")
    page.value("document.activeElement.blur()")
    failure = page.text("#step-detail h2")
    page.key("k")
    assert page.text("#step-detail h2") != failure
    page.key("f")
    assert page.text("#step-detail h2") == failure
    page.key("c")
    assert page.value("document.activeElement.id") == "console-search"
    page.key("Escape")
    page.key("1")
    assert page.value("document.querySelector('#tab-step').getAttribute('aria-selected')") == "true"
    page.key("?")
    assert "first failure" in page.text("#help-text") and page.value("!document.querySelector('#help-text').hidden")
    page.value("document.querySelector('#steps .list').focus()")
    page.key("Home")
    page.key("ArrowDown")
    active = page.value("document.activeElement.getAttribute('aria-activedescendant')")
    assert page.value(f"document.getElementById({json.dumps(active)}).getAttribute('aria-posinset')") == "2"


CONTROLS = ("button", "tab", "searchbox", "listbox", "combobox", "checkbox", "image", "link", "region", "tabpanel", "textbox")


@pytest.mark.parametrize("name", ["readme", "pytest", "none"])
def test_what_a_screen_reader_gets(opened, name):
    """In each view every control has a name."""
    page = opened(name)
    roles = set()
    for tab in page.value("[...document.querySelectorAll('#tabs button')].map(tab => tab.id.slice(4))"):
        view(page, tab)
        tree = page.call("Accessibility.getFullAXTree")["nodes"]
        nodes = [(node["role"]["value"], node.get("name", {}).get("value", "")) for node in tree if not node["ignored"]]
        roles |= {role for role, _ in nodes}
        assert [node for node in nodes if node[0] in CONTROLS and not node[1].strip()] == [], tab
        # a region without a name is not told as one
        assert [role for role, _ in nodes].count("region") == page.value("document.querySelectorAll('section, [role=region]').length"), tab
    assert {"main", "listbox", "tab", "tablist", "heading", "status", "searchbox", "image"} <= roles


def test_the_list_of_tests_by_keyboard(opened):
    """Moving in it stays in it; Enter opens the test, and the keyboard is there then."""
    page = opened("pytest")
    view(page, "tests")
    page.value("document.querySelector('#view .list').focus()")
    page.key("Home")
    page.key("ArrowDown")
    assert page.value("document.activeElement === document.querySelector('#view .list')")
    selected = page.text("#view .row[aria-selected='true'] .what")
    assert "test_the_client_gets_the_page" in selected
    page.key("Enter")
    assert selected in page.text("#step-detail h2") and page.value("document.activeElement.id") == "step-detail"
    page.value("document.querySelector('#step-detail .link').focus()")
    page.value("document.activeElement.click()")
    assert page.value("document.querySelector('#view').contains(document.activeElement)")


@pytest.mark.parametrize("view_name", ["times", "screens"])
def test_tables_and_pictures_by_keyboard(opened, view_name):
    page = opened("readme")
    view(page, view_name)
    selector = {"times": ".time-table tbody button", "screens": "figure:not(.large) .picture"}[view_name]
    page.value(f"document.querySelector('{selector}').focus()")
    page.key("Enter")
    if view_name == "times":
        assert page.text("#step-detail h2").split()[:2] == ["run", "the"]
    else:
        assert page.value("document.querySelectorAll('figure.large').length") == 2


def test_themes_and_paper(opened):
    page = opened("pytest")
    brightness = """["backgroundColor", "color"].map(name => getComputedStyle(document.body)[name].match(/\\d+/g)
        .reduce((sum, number) => sum + Number(number), 0))"""
    ground, text = page.value(brightness)
    assert ground > 2 * text
    page.theme("dark")
    ground, text = page.value(brightness)
    assert 2 * ground < text
    page.call("Emulation.setEmulatedMedia", media="print")
    assert page.value("getComputedStyle(document.querySelector('.tools')).display") == "none"
    assert page.value("getComputedStyle(document.querySelector('#steps .list')).overflow") == "visible"


# ---- (c) a driver that was killed


def test_a_killed_run(opened):
    page = opened("killed")
    assert page.text("#verdict") == "Killed" and "The end of this run is not here: the driver was killed." in page.text("#notice")
    assert page.text("#go-failure") == "Go to the last step"
    assert page.text("#error").startswith("The last step did not end: waiting for success: echo the job")
    assert "did not end" in page.text("#step-detail h2")
    detail = page.text("#step-detail")
    assert "Last observation" in detail and "the job is at 12 %" in detail and "still working" in detail
    assert facts_of(page)["code"].startswith("machine.wait_until_succeeds")


@pytest.mark.parametrize("part", [0.0, 0.02, 0.3, 0.5, 0.9, 0.97, 0.995])
def test_a_page_that_was_cut_off(pages, chromium, tmp_path, part):
    """As of a run that goes on, or whose keeper was killed, too: it opens, and claims no more than it can know."""
    whole = pages["pytest"].read_bytes()
    head = whole.index(b"\n})();\n</script>\n") + len(b"\n})();\n</script>\n")
    (tmp_path / "cut.html").write_bytes(whole[:head + int((len(whole) - head) * part)])
    page = chromium.open(tmp_path / "cut.html")
    page.wait_for(READY)
    if part < 0.6:  # else the end of the run is among what is left
        assert page.text("#verdict") == "Unfinished"
        assert "was killed with all" in page.text("#notice") or "nothing in this page" in page.text("#notice")
    else:
        assert page.text("#verdict") == "Failed"
    assert page.complaints() == []
    page.close()


# ---- few and much


def resize(page, width, height):
    page.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)


def test_a_narrow_window_has_few_rows(opened):
    page = opened("large")
    resize(page, 600, 900)
    view(page, "console")
    assert page.value("document.querySelectorAll('.console .row').length") < 500
    assert page.value("document.documentElement.scrollWidth") <= 600
    assert search_console(page, "needle") == "1 of 1"


def test_fifty_machines(opened):
    page = opened("fifty")
    assert page.text("#verdict") == "Passed" and "50 machines" in page.text("#summary")
    canvas, box = page.value("[document.querySelector('#canvas').clientHeight, document.querySelector('#timeline').clientHeight]")
    assert canvas > 2000 and box < 400
    page.type("#step-machine", "machine49")
    assert len(page.texts("#steps .step .what")) == 1
    page.click("#steps .step")
    assert page.value("document.querySelector('#timeline').scrollTop") > 1000  # its lane is in sight
    view(page, "console")
    page.type("#console-machine", "machine7")
    assert page.texts(".console .row .line") == ["a line"]


def test_no_machines(opened):
    page = opened("none")
    assert page.text("#verdict") == "Passed" and "0 machines" in page.text("#summary")
    for name in "step", "console", "times", "run":
        view(page, name)
    assert facts_of(page)["machines"] == "none"


def test_texts_of_ten_million_characters(opened):
    """Each place shows as much of them as a browser can take."""
    page = opened("long")
    assert len(page.text("#error")) < 5000 and page.text("#error").startswith("Error: <b>0123")
    assert page.text("#step-detail pre").endswith("more characters")
    view(page, "console")
    page.click(".console .row")
    assert page.text("#console-line").endswith("more characters")
    assert page.value("document.body.innerHTML.length") < 2e6


# ---- (d) much of everything


def test_a_large_page(pages, opened):
    assert pages["large"].stat().st_size < 20e6
    page = opened("large")
    paint = page.value("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    ready = page.value("performance.getEntriesByName('ready')[0].startTime")
    print(f"first paint after {paint:.0f} ms, ready after {ready:.0f} ms, {pages['large'].stat().st_size} bytes")
    assert paint < 20_000  # 0.1 to 0.3 s by itself; other tests may use the processors
    assert page.text("#steps .count") == "10,001 steps" and page.text("#tab-console .number") == "200,000"
    assert page.value("document.querySelectorAll('.row').length") < 500
    assert search_console(page, "needle") == "1 of 1"
    assert page.text(".console .row.hit .line") == report_runs.NEEDLE
    page.value("document.querySelector('.console .list').scrollTop = 1e9")
    page.wait_for("document.querySelector('.console .row:last-child').getAttribute('aria-posinset') === '200000'")
    page.type("#console-search", "sshd-3.service")
    page.click("#console-only")
    page.wait_for("/ of /.test(document.querySelector('#console-count').textContent)")
    assert all("sshd-3.service" in text for text in page.texts(".console .row .line"))
    view(page, "step")
    page.type("#step-only", "failed")
    assert len(page.texts("#steps .step .what")) == 2  # the run, and the step
    page.click("#go-failure")
    assert "failed" in page.text("#step-detail h2") and "last seen: inactive" in page.text("#step-detail")


# ---- (e) hostile text


def test_hostile_text_is_text(opened):
    page = opened("hostile")
    assert page.value("document.title").startswith("Failed: ") and page.text("#verdict") == "Failed"
    assert page.text("#error").startswith("Exception: <img src=x onerror=alert(1)> ^[[31mU+202E failed </script>")
    assert page.value("document.querySelectorAll('img, svg, a:not(.skip), b, iframe').length") == 0
    view(page, "console")
    lines = page.texts(".console .row .line")
    for text in report_runs.HOSTILE[:4]:
        assert text in lines
    assert any(line.startswith("right to left: U+202Egnp.exeU+202C and U+2066isolatedU+2069") for line in lines)
    assert any(line.startswith("title:  clear:  link: here bell: ^G") for line in lines)
    assert any(line.startswith("colours: red green true ") for line in lines)
    assert page.texts(".console .a31.a1, .console .a1.a31") == ["red"] and "__proto__ constructor toString" in lines
    for name in "step", "script", "times", "run":
        view(page, name)
    page.type("#step-search", "<script>")
    assert page.texts("#steps .step .what")
    assert page.value("document.querySelectorAll('#app img, #app b, #app script').length") == 0


def test_the_page_lets_no_other_script_run(opened):
    page = opened("hostile")
    page.value("""(() => {
        const script = document.createElement("script");
        script.textContent = "document.title = 'owned'";
        document.body.append(script);
    })()""")
    assert page.value("document.title") != "owned"
    assert any("Content Security Policy" in json.dumps(told) for told in page.complaints())
    page.browser.events.clear()


# ---- without scripts


@pytest.mark.parametrize("name", ["pytest", "killed", "hostile"])
def test_without_scripts_it_is_a_plain_list(opened, name):
    page = opened(name, scripts=False)
    page.wait_for("document.readyState === 'complete'")
    text = page.value("document.body.innerText")
    assert page.value("getComputedStyle(document.querySelector('#app')).display") == "none"
    assert "plain list of the steps" in text
    if name == "pytest":
        assert "Failed after" in text and "client: must succeed: echo 'fetching'" in text and "failed after" in text
        assert "assert 'goodbye\\n' == 'hello\\n'" in text
    elif name == "killed":
        assert "machine: waiting for success: echo the job" in text and '"kind"' not in text and "-->" not in text
        assert page.text("p.verdict").strip() == "The driver was killed before the end of the run"
    else:
        assert report_runs.HOSTILE[0] in text and report_runs.HOSTILE[1] in text
        assert page.value("document.querySelectorAll('#app ~ * img, svg, b').length") == 0
        assert "\u202e" not in text


def test_pages_of_old_events(pages, chromium, tmp_path):
    """The events of a run make the page that the run has made, its pictures included."""
    made = report_runs.from_events(pages["readme"].parent / "events.jsonl", tmp_path / "made.html")
    seen = []
    for path in pages["readme"], made:
        page = chromium.open(path)
        page.wait_for(READY)
        view(page, "screens")
        seen.append([page.text(place) for place in ("#verdict", "#title", "#error", "#summary", "#steps .count", "#tabs")] +
                    [page.value("[...document.images].map(image => image.src.length)")])
        assert page.complaints() == []
        page.close()
    assert seen[0] == seen[1] and len(seen[0][-1]) == 3
