import torch
from torch import nn

from continual_mt.model.replica import replica


def small_model() -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 2), nn.ModuleList(), nn.LayerNorm(2)).eval()


def test_pytorch_keeps_parameters_and_children_in_two_dictionaries() -> None:
    module = small_model()
    assert module.__dict__["_modules"] == dict(module.named_children())
    linear = module[0]
    assert isinstance(linear, nn.Linear)
    assert linear.__dict__["_parameters"] == {"weight": linear.weight, "bias": linear.bias}
    assert isinstance(linear.__dict__["_forward_hooks"], dict)


def test_a_replica_uses_the_given_tensors() -> None:
    expected = nn.Sequential(nn.Linear(3, 2), nn.Identity(), nn.LayerNorm(2))
    tensors = {name: tensor.clone() for name, tensor in expected.state_dict().items()}
    with torch.device("meta"):
        template = nn.Sequential(nn.Linear(3, 2), nn.Identity(), nn.LayerNorm(2)).eval()
    copy = replica(template, tensors)
    states = torch.randn(4, 3)
    assert torch.equal(copy(states), expected(states))
    assert [name for name, _ in copy.named_parameters()] == list(tensors)
    assert all(parameter.data_ptr() == tensors[name].data_ptr() for name, parameter in copy.named_parameters())
    assert not any(parameter.requires_grad for parameter in copy.parameters())
    assert template[0].weight.is_meta


def test_changes_to_one_replica_do_not_affect_others() -> None:
    template = small_model()
    one, other = (replica(template, dict(template.named_parameters())) for _ in range(2))
    called: list[nn.Module] = []
    for module in one.modules():
        module.register_forward_hook(lambda module, given, found: called.append(module))
    one.train().requires_grad_(True)
    one[1].append(nn.Linear(1, 1))
    one.register_buffer("counted", torch.zeros(1), persistent=False)
    one[0].weight = nn.Parameter(torch.zeros(2, 3))
    for untouched in (template, other):
        assert not any(module.training for module in untouched.modules())
        assert len(untouched[1]) == 0
        assert not list(untouched.buffers())
        assert not untouched._non_persistent_buffers_set
        assert untouched[0].weight.any()
        untouched[2](untouched[0](torch.ones(1, 3)))
    assert not any(parameter.requires_grad for parameter in other.parameters())
    assert called == []
    one[0](torch.ones(1, 3))
    assert called == [one[0]]
