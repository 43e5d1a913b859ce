import json
from pathlib import Path

import numpy as np
import pytest

from hofsteer.errors import SoftPromptError
from hofsteer.instruments import Administration
from hofsteer.respondent import SoftPrompt
from hofsteer.respondent.soft_prompt import CONFIG_FILE, KEY, WEIGHTS_FILE

VALUES = np.random.default_rng(3).normal(size=(5, 32)).astype(np.float32)


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    folder = tmp_path / "adapter"
    SoftPrompt(VALUES, base_model="some/model").save(folder)
    return folder


def write_tensors(folder: Path, tensors: dict) -> None:
    from safetensors.torch import save_file

    save_file(tensors, folder / WEIGHTS_FILE)


def test_what_was_saved_is_what_is_loaded(adapter):
    back = SoftPrompt.load(adapter)
    assert back.values.dtype == np.float32
    np.testing.assert_array_equal(back.values, VALUES)
    assert back.base_model == "some/model"
    assert sorted(path.name for path in adapter.iterdir()) == [CONFIG_FILE, WEIGHTS_FILE]


def test_extreme_values_survive(tmp_path):
    values = np.array([[np.finfo(np.float32).max, np.finfo(np.float32).tiny, -0.0, 1 / 3]], dtype=np.float32)
    SoftPrompt(values).save(tmp_path)
    assert SoftPrompt.load(tmp_path).values.tobytes() == values.tobytes()
    assert SoftPrompt.load(tmp_path).base_model is None


def test_rows_are_saved_in_order_however_they_lie_in_memory(tmp_path):
    transposed = np.asfortranarray(VALUES)
    SoftPrompt(transposed).save(tmp_path / "a")
    SoftPrompt(VALUES[::-1]).save(tmp_path / "b")
    np.testing.assert_array_equal(SoftPrompt.load(tmp_path / "a").values, VALUES)
    np.testing.assert_array_equal(SoftPrompt.load(tmp_path / "b").values, VALUES[::-1])


def test_saving_again_replaces(adapter):
    SoftPrompt(VALUES[:2]).save(adapter)
    np.testing.assert_array_equal(SoftPrompt.load(adapter).values, VALUES[:2])
    assert json.loads((adapter / CONFIG_FILE).read_text())["num_virtual_tokens"] == 2


def test_same_values_give_the_same_bytes(adapter, tmp_path):
    SoftPrompt(VALUES.copy(), base_model="some/model").save(tmp_path / "again")
    for name in (CONFIG_FILE, WEIGHTS_FILE):
        assert (adapter / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


def test_a_run_folder_stands_for_the_prompt_in_it(tmp_path):
    SoftPrompt(VALUES).save(tmp_path / "soft_prompt")
    (tmp_path / "config.toml").write_text("format = 1\n")
    np.testing.assert_array_equal(SoftPrompt.load(tmp_path).values, VALUES)


@pytest.mark.parametrize(
    "values",
    [
        np.zeros(4, np.float32),
        np.zeros((2, 3, 4), np.float32),
        np.zeros((0, 4), np.float32),
        np.zeros((4, 0), np.float32),
        np.array([[0.0, np.nan]], np.float32),
        np.array([[0.0, -np.inf]], np.float32),
    ],
    ids=["one axis", "three axes", "no rows", "no width", "nan", "infinite"],
)
def test_only_finite_rows_are_a_soft_prompt(values):
    with pytest.raises(SoftPromptError, match=r"want finite rows \(tokens, width\), got an array of shape \("):
        SoftPrompt(values)


@pytest.mark.parametrize("name", [CONFIG_FILE, WEIGHTS_FILE])
def test_a_missing_file_is_named(adapter, name):
    (adapter / name).unlink()
    with pytest.raises(SoftPromptError, match=rf"want a run or a PEFT adapter, but .*adapter has no {name}$"):
        SoftPrompt.load(adapter)


def test_a_missing_folder_and_a_file_are_refused(adapter):
    for path in (adapter / "nowhere", adapter / CONFIG_FILE):
        with pytest.raises(SoftPromptError, match="want a run or a PEFT adapter"):
            SoftPrompt.load(path)


@pytest.mark.parametrize(
    ("config", "shown"), [({"peft_type": "LORA"}, "'LORA'"), ({}, "None"), (["PROMPT_TUNING"], "None")]
)
def test_another_kind_of_adapter_is_refused(adapter, config, shown):
    (adapter / CONFIG_FILE).write_text(json.dumps(config))
    with pytest.raises(SoftPromptError, match=rf"want a PROMPT_TUNING adapter with '{KEY}', got {shown} with"):
        SoftPrompt.load(adapter)


def test_a_file_without_the_key_is_refused_with_the_keys_it_has(adapter):
    import torch

    write_tensors(adapter, {"lora_A": torch.zeros(2, 32), "lora_B": torch.zeros(2, 32)})
    with pytest.raises(SoftPromptError, match=r"got 'PROMPT_TUNING' with \['lora_A', 'lora_B'\]$"):
        SoftPrompt.load(adapter)


def test_stored_values_are_checked_too(adapter):
    import torch

    for tensor in (torch.full((2, 32), float("nan")), torch.zeros(2, 2, 32), torch.zeros(32)):
        write_tensors(adapter, {KEY: tensor})
        with pytest.raises(SoftPromptError, match=r"^the adapter in .*adapter cannot be used: want finite rows"):
            SoftPrompt.load(adapter)


def test_numbers_that_are_none_are_said_to_be(adapter):
    import torch

    values = torch.tensor(VALUES)
    values[1, :3] = float("nan")
    write_tensors(adapter, {KEY: values})
    with pytest.raises(SoftPromptError, match=r"shape \(5, 32\) with 3 numbers that are NaN or infinite$"):
        SoftPrompt.load(adapter)


@pytest.mark.parametrize(("name", "said", "held"), [("num_virtual_tokens", 8, 5), ("token_dim", 64, 32)])
def test_files_that_do_not_agree_are_refused(adapter, name, said, held):
    path = adapter / CONFIG_FILE
    config = json.loads(path.read_text())
    path.write_text(json.dumps({**config, name: said}))
    with pytest.raises(
        SoftPromptError, match=rf"want {name} {said}, as {CONFIG_FILE} says, got {held} in {WEIGHTS_FILE}"
    ):
        SoftPrompt.load(adapter)
    path.write_text(json.dumps({key: value for key, value in config.items() if key != name}))  # which says nothing
    assert SoftPrompt.load(adapter).values.shape == (5, 32)


@pytest.mark.parametrize("dtype", ["bfloat16", "float8_e4m3fn"])
def test_a_dtype_that_numpy_lacks_is_refused(adapter, dtype):
    import torch

    write_tensors(adapter, {KEY: torch.zeros(5, 32).to(getattr(torch, dtype))})
    with pytest.raises(SoftPromptError, match=r"is stored in a dtype NumPy lacks; want float32$"):
        SoftPrompt.load(adapter)


def test_half_precision_is_widened(adapter):
    import torch

    write_tensors(adapter, {KEY: torch.tensor(VALUES).half()})
    back = SoftPrompt.load(adapter).values
    assert back.dtype == np.float32
    np.testing.assert_array_equal(back, VALUES.astype(np.float16))


@pytest.mark.parametrize("name", [CONFIG_FILE, WEIGHTS_FILE])
@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe\x00", b"\xff" * 64])
def test_a_broken_file_is_one_line(adapter, name, content):
    (adapter / name).write_bytes(content)
    with pytest.raises(SoftPromptError, match=r"^the adapter in .*adapter cannot be read: .+$") as caught:
        SoftPrompt.load(adapter)
    assert "\n" not in str(caught.value)


def test_a_cut_off_weights_file_is_refused(adapter):
    path = adapter / WEIGHTS_FILE
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(SoftPromptError, match="cannot be read"):
        SoftPrompt.load(adapter)


def test_no_file_is_left_behind_when_writing_fails(adapter, monkeypatch):
    def full(self, target):
        raise OSError(28, "No space left on device")

    before = {path.name: path.read_bytes() for path in adapter.iterdir()}
    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        SoftPrompt(VALUES * 2).save(adapter)
    assert {path.name: path.read_bytes() for path in adapter.iterdir()} == before


def test_peft_reads_the_config_and_knows_every_key(adapter):
    peft = pytest.importorskip("peft")
    written = json.loads((adapter / CONFIG_FILE).read_text())
    config = peft.PeftConfig.from_pretrained(adapter)
    assert isinstance(config, peft.PromptTuningConfig)
    assert {key: config.to_dict()[key] for key in written} == written
    assert (config.num_virtual_tokens, config.token_dim, config.inference_mode) == (5, 32, True)


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")  # by PEFT 0.21
def test_peft_gives_the_answers_that_hofsteer_gives(tiny, tiny_folder, short, adapter):
    peft = pytest.importorskip("peft")
    import torch
    from transformers import AutoModelForCausalLM

    administration = Administration(short)
    ours = tiny.respond([administration], SoftPrompt.load(adapter).values[None])
    model = peft.PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tiny_folder), adapter)
    labels = [tiny.tokenizer.convert_tokens_to_ids(str(label)) for label in range(1, 6)]
    theirs = []
    for item in short.items:
        chat = [message._asdict() for message in administration.messages(item)]
        ids = tiny.tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_tensors="pt")["input_ids"]
        with torch.inference_mode():
            logits = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0, -1]
        theirs.append(logits.double().softmax(dim=-1)[labels].numpy())
    mass = np.array(theirs)
    np.testing.assert_allclose(ours.valid_mass[0, 0], mass.sum(axis=-1), atol=1e-5)
    np.testing.assert_allclose(ours.probabilities[0, 0], mass / mass.sum(axis=-1, keepdims=True), atol=1e-5)
    without = tiny.respond([administration]).probabilities
    assert np.abs(ours.probabilities - without).max() > 0.01  # the soft prompt matters
