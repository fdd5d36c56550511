"""Estimators to a hub and from it, over a real socket."""

import hashlib
import json
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from ct_guard import load_estimator
from ct_guard.errors import (
    EstimatorError,
    HubError,
    ManifestError,
    MismatchError,
    OutputExistsError,
    UsageError,
)
from ct_guard.store import (
    MINI,
    base_place,
    load_manifest,
    locate,
    pull_estimator,
    push_estimator,
    resolve,
)
from tests.hub_server import Hub, running_hub
from tests.present import present

BASE = "someone/tiny-base"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    from huggingface_hub import constants

    with running_hub() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.setenv("HF_TOKEN", hub.token)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)  # else its own wire protocol
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub-cache"))
        yield hub


@pytest.fixture
def probed(tiny_estimator: Path, tmp_path: Path) -> Path:
    """An estimator with one more file than an adapter has."""
    folder = tmp_path / "mine"
    shutil.copytree(tiny_estimator, folder)
    (folder / "probe.safetensors").write_bytes(b"\x00probe\xff")
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"]["probe.safetensors"] = hashlib.sha256(b"\x00probe\xff").hexdigest()
    manifest["figures"] = {
        "AUROC": 0.8,
        "AUROC low": 0.75,
        "AUROC high": 0.85,
        "ECE": 0.1,
        "AURC": None,
    }
    manifest["data"] = {"tuning": "abc123"}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def test_what_is_pushed_is_pulled_byte_for_byte(hub: Hub, probed: Path, tmp_path: Path) -> None:
    url = push_estimator(probed, "me/mine", base_id=BASE)
    assert url.startswith(f"{hub.url}/me/mine/commit/")
    files = hub.files("me/mine")
    named = load_manifest(probed).files
    assert set(files) == {*named, "manifest.json", "README.md"}
    assert all(files[name] == (probed / name).read_bytes() for name in named)
    assert len(hub.lfs_uploads) == 2  # adapter and probe went as LFS, the rest in the commit
    manifest = pull_estimator("me/mine", tmp_path / "got")
    assert manifest.base.id == BASE
    got = {
        path.relative_to(tmp_path / "got").as_posix(): path.read_bytes()
        for path in (tmp_path / "got").rglob("*")
        if path.is_file()
    }
    assert got == files


def test_load_by_id_scores_as_the_directory_does(hub: Hub, probed: Path, tiny_base: Path) -> None:
    from ct_guard.records import QuestionAnswer

    push_estimator(probed, "me/mine", base_id=BASE)
    first = hub.branches["me/mine"]["main"]
    hub.commit("me/mine", "main", {"manifest.json": b"{}"})
    asked = [QuestionAnswer(question="What is 2 + 2?", answer="4")]
    here = load_estimator(probed).score(asked)
    there = load_estimator("me/mine", revision=first, base=tiny_base).score(asked)
    assert here[0].logit == there[0].logit
    assert locate(f"me/mine@{first}") == resolve("me/mine", first)
    with pytest.raises(ManifestError, match="schema version None"):
        load_estimator("me/mine")


def test_offline_needs_no_hub_once_it_was_fetched(hub: Hub, probed: Path) -> None:
    push_estimator(probed, "me/mine", base_id=BASE)
    with pytest.raises(HubError, match=r"'me/mine' is not in the local cache.*ct-guard pull"):
        resolve("me/mine", offline=True)
    online = resolve("me/mine")
    asked = len(hub.requests)
    assert resolve("me/mine", offline=True) == online
    assert load_manifest(online).name == "tiny"
    assert len(hub.requests) == asked


@pytest.mark.parametrize(
    "name", ["adapter/adapter_model.safetensors", "adapter/adapter_config.json"]
)
def test_a_changed_file_is_refused_before_use(
    hub: Hub, probed: Path, tmp_path: Path, name: str
) -> None:
    push_estimator(probed, "me/mine", base_id=BASE)
    changed = hub.files("me/mine")[name][:-1] + b"!"
    hub.commit("me/mine", "main", {name: changed})
    with pytest.raises(ManifestError, match="differs from its hash"):
        load_estimator("me/mine")
    with pytest.raises(ManifestError, match="differs from its hash"):
        pull_estimator("me/mine", tmp_path / "got")
    assert not (tmp_path / "got").exists()


@pytest.mark.parametrize("name", ["../../blobs/SHA", "../evil.txt", "/tmp/evil.txt", "a/../../b"])
def test_a_manifest_that_names_a_file_elsewhere_writes_nothing(
    hub: Hub, probed: Path, tmp_path: Path, name: str
) -> None:
    """The cache keeps contents two folders above a snapshot: they are files that do exist."""
    push_estimator(probed, "me/mine", base_id=BASE)
    files = hub.files("me/mine")
    content = files["adapter/adapter_config.json"]
    blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    manifest = json.loads(files["manifest.json"])
    manifest["files"][name.replace("SHA", blob)] = hashlib.sha256(content).hexdigest()
    hub.commit("me/mine", "main", {"manifest.json": json.dumps(manifest).encode()})
    target = tmp_path / "a" / "b" / "c"
    with pytest.raises(ManifestError, match="outside its directory"):
        pull_estimator("me/mine", target / "got")
    assert not (tmp_path / "a").exists()


def test_a_hub_that_names_files_elsewhere_writes_nothing(
    hub: Hub, probed: Path, tmp_path: Path
) -> None:
    push_estimator(probed, "me/mine", base_id=BASE)
    hub.commit("me/mine", "main", {"../../../evil.txt": b"evil"})
    with pytest.raises((HubError, ManifestError)):
        pull_estimator("me/mine", tmp_path / "got")
    assert not list(tmp_path.rglob("evil.txt"))
    assert not (tmp_path / "got").exists()


def test_a_password_in_the_hub_s_url_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_ENDPOINT", "http://me:hunter2@127.0.0.1:1")
    with pytest.raises(HubError, match=r"http://127\.0\.0\.1:1") as caught:
        resolve("me/mine")
    assert "hunter2" not in str(caught.value)


def test_another_base_is_refused(hub: Hub, probed: Path, tiny_base: Path, tmp_path: Path) -> None:
    manifest = json.loads((probed / "manifest.json").read_text())
    manifest["base"] |= {"revision": "abc", "fingerprint": "0" * 16}
    (probed / "manifest.json").write_text(json.dumps(manifest))
    push_estimator(probed, "me/mine", base_id=BASE)
    with pytest.raises(MismatchError, match="give the right one with `base`, at revision abc"):
        load_estimator("me/mine", base=tiny_base)


def test_a_hub_s_refusals_say_what_to_do(
    hub: Hub, probed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.make("me/empty")
    hub.make("me/gated")
    hub.gated.add("me/gated")
    push_estimator(probed, "me/private", base_id=BASE, private=True)
    resolve("me/private")
    for repo, revision, said in [
        ("me/nothing", None, "no repository 'me/nothing' at .*check the id"),
        ("me/private", "v9", r"'me/private' has no revision 'v9'"),
        ("me/gated", None, "'me/gated' is gated: accept its terms at .*HF_TOKEN"),
        ("me/empty", None, "is no estimator: it has neither a manifest.json nor an adapter_config"),
    ]:
        with pytest.raises(EstimatorError, match=said) as caught:
            resolve(repo, revision)
        assert hub.token not in str(caught.value)
        assert "\n" not in str(caught.value)
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(HubError, match="for a private one set HF_TOKEN"):
        resolve("me/private")
    with pytest.raises(UsageError, match="set HF_TOKEN to one with write access"):
        push_estimator(probed, "me/mine", base_id=BASE)
    secret = "hf_" + "w" * 20
    monkeypatch.setenv("HF_TOKEN", secret)
    with pytest.raises(HubError) as caught_wrong:
        push_estimator(probed, "me/mine", base_id=BASE)
    assert secret not in str(caught_wrong.value)
    assert "HF_TOKEN" in str(caught_wrong.value)


def test_no_network(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{free.getsockname()[1]}")
        with pytest.raises(HubError, match=r"no connection to .*check the network"):
            resolve("me/mine")


def test_what_cannot_be_pushed_or_pulled(hub: Hub, probed: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="a place on this machine: give its id on the hub"):
        push_estimator(probed, "me/mine")
    with pytest.raises(UsageError, match="give 'owner/name'"):
        push_estimator(probed, "mine", base_id=BASE)
    with pytest.raises(OutputExistsError, match="exists already"):
        pull_estimator("me/mine", tmp_path)
    with pytest.raises(OutputExistsError, match="is no estimator"):
        pull_estimator("me/mine", tmp_path, overwrite=True)
    with pytest.raises(UsageError, match="a revision goes with an id"):
        locate("mini", "main")
    (probed / "probe.safetensors").write_bytes(b"changed")
    with pytest.raises(ManifestError, match="differs from its hash"):
        push_estimator(probed, "me/mine", base_id=BASE)
    assert "me/mine" not in hub.commits


def test_the_card(hub: Hub, probed: Path) -> None:
    push_estimator(probed, "me/mine", base_id=BASE)
    card = hub.files("me/mine")["README.md"].decode()
    for said in [
        'library_name: "ct-guard"',
        f'base_model: "{BASE}"',
        "- method `query`",
        "- tuning: hash of its questions `abc123`",
        "| AUROC | 0.8 | 0.75 to 0.85 |",
        "| ECE | 0.1 | not recorded |",
        "| AURC | not measured |",
        "- p >= 0.6000: at most 10% wrong among answered, with probability 90%",
        "## Limits",
        'guard = Guard("me/mine")',
    ]:
        assert said in card
    assert "AUROC low" not in card


def test_a_question_prior_goes_with_its_estimator_and_the_card_says_what_it_holds(
    hub: Hub, tmp_path: Path
) -> None:
    push_estimator(MINI / "hybrid", "me/mini", base_id=BASE)
    assert hub.files("me/mini")["prior.json"] == (MINI / "hybrid" / "prior.json").read_bytes()
    assert "which holds words of the tuning questions" in hub.files("me/mini")["README.md"].decode()
    assert pull_estimator("me/mini", tmp_path / "got").prior == "prior.json"


class TestAFileOfTheHub:
    """`hub:owner/name/FILE.gguf` is a base like a file that lies here."""

    NAME = "hub:someone/models/small/tiny.gguf"

    @pytest.fixture(autouse=True)
    def _file(self, hub: Hub, tiny_gguf: Path) -> None:
        hub.make("someone/models")
        hub.commit("someone/models", "main", {"small/tiny.gguf": tiny_gguf.read_bytes()})

    def test_it_is_fetched_once(self, hub: Hub, tiny_gguf: Path) -> None:
        place = Path(base_place(self.NAME))
        assert place.read_bytes() == tiny_gguf.read_bytes()
        hub.commits.clear()
        assert base_place(self.NAME, offline=True) == place

    @pytest.mark.parametrize("backend", ["transformers", "llama_cpp"])
    def test_both_backends_score_with_it(
        self, backend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CT_GUARD_CACHE", str(tmp_path / "cache"))
        estimator = load_estimator("likelihood", base=self.NAME, backend=backend)
        assert estimator.manifest.base.id == self.NAME
        assert estimator.manifest.base.digests == (present(estimator.backend).digest,)
        estimator.close()

    def test_a_file_that_is_not_there(self) -> None:
        with pytest.raises(HubError, match=r"has no file 'small/other.gguf'"):
            base_place("hub:someone/models/small/other.gguf")

    def test_offline_without_the_file(self) -> None:
        with pytest.raises(HubError, match="not in the local cache"):
            base_place(self.NAME, offline=True)

    @pytest.mark.parametrize(
        "name",
        [
            "hub:someone/models",
            "hub:someone/models/model.safetensors",
            "hub:someone/models/../../secret.gguf",
            "hub:some one/models/tiny.gguf",
            "hub:",
        ],
    )
    def test_another_form(self, name: str) -> None:
        with pytest.raises(UsageError, match=r"hub:owner/name/FILE.gguf"):
            base_place(name)

    def test_one_of_several_parts_is_not_even_fetched(self, hub: Hub) -> None:
        with pytest.raises(UsageError, match="one of several parts"):
            base_place("hub:someone/models/big-00001-of-00003.gguf")
        assert hub.requests == []
