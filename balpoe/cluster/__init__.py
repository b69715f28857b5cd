"""Ray clusters: joining one, inspecting its nodes, handing studies and trainings over to it."""

# Ray reads its switches when it is imported; that package sets them
import balpoe.study as _study_sets_rays_switches  # noqa: F401
