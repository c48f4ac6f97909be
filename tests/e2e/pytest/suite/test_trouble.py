"""Tests that fail: in every phase of a test, and by machines that die."""

import os
import signal

import pytest


def test_command(server):
    print("printed before")
    server.log("logged before")
    server.succeed("echo its output; exit 3")


def test_set_up(broken):
    pass


def test_taken_down(leaves_badly):
    pass


def test_machine_dies(client):
    client.succeed("true")
    os.kill(client.pid, signal.SIGKILL)
    client.succeed("sleep 60")


def test_needs_it(client):
    client.succeed("true")


def test_needs_the_other(server):
    server.succeed("true")


@pytest.mark.restart_machines
def test_has_it_started_again(client):
    assert client.succeed("echo again") == "again\n"


def test_uses_it_again(client):
    client.succeed("true")


@pytest.mark.requires(memory="1000T")
def test_requires_too_much(server):
    assert False


@pytest.mark.requires("a moon")
def test_requires_what_is_unknown(server):
    assert False


@pytest.mark.vm
@pytest.mark.slow
def test_marks(server):
    server.succeed("true")
