"""Laws that several optimizers cannot have, each with its reason."""

NO_KINDS = {
    name: "its ε is added to squares: it has no kinds"
    for name in (
        "test_zero_over_zero_is_zero_in_every_kind_of_eps",
        "test_the_derivative_at_zero_is_finite_in_every_kind_of_eps",
    )
}
NO_VALUES = {
    "test_init_takes_shapes_without_values": (
        "it begins at the parameters, which their shapes do not tell"
    )
}
RATE_INSIDE = {
    "test_scale_by_is_the_optimizer_without_rate_and_decay": "it has no such form",
    "test_optimizers_without_decay_need_no_parameters": "it reads them",
}
READS_NORM = {
    "test_optimizers_without_decay_need_no_parameters": "it reads their norm",
}
SHARD = {
    "test_inside_shard_map": "it needs axis_name: test_sharded_and_stacked.py has it",
}
SMALLER = {
    name: "its slots are smaller than the leaf: test_sharded_and_stacked.py has it"
    for name in (
        "test_init_keeps_the_sharding_of_the_parameters",
        "test_init_keeps_the_sharding_without_a_mesh_in_scope",
        "test_the_sharded_run_is_the_unsharded_run",
        "test_tree_map_params",
    )
}
UNCOUNTED = {
    name: "it counts a first gradient of zero: test_averages_and_rate_free.py"
    for name in (
        "test_an_optimizer_follows_its_paper",
        "test_an_optimizer_follows_its_paper_under_schedules",
        "test_a_scheduled_rate_alone",
        "test_hyperparameters_as_arrays",
        "test_restored_from_constants_into_arrays",
    )
}
WHOLE_MODEL = {
    name: "its step is measured on the whole model"
    for name in ("test_masked", "test_partition_with_an_empty_group")
}
