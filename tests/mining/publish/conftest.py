"""What tests of publishing share."""

import pytest
from published import judged_pictures


@pytest.fixture
def hard(pictures, tmp_path):
    """A hard set of 24 pictures, of which three are judged: its folder, and the images."""
    return tmp_path / "hard", judged_pictures(tmp_path / "hard", pictures)


@pytest.fixture(scope="module")
def compact(tmp_path_factory):
    """`compact(convolutions, scale)`: the weights of a small network as a file. It sees convolutions + 2 pixels far."""
    torch = pytest.importorskip("torch")
    compact_module = pytest.importorskip("spandrel.architectures.Compact")
    from safetensors.torch import save_file

    def make(convolutions=2, scale=4, channels=3):
        torch.manual_seed(convolutions)
        network = compact_module.Compact(
            num_in_ch=channels, num_out_ch=channels, num_feat=8, num_conv=convolutions, upscale=scale
        )
        path = tmp_path_factory.mktemp("network") / "compact.safetensors"
        save_file({key: value.contiguous() * 2 for key, value in network.state_dict().items()}, path)
        return path

    return make
