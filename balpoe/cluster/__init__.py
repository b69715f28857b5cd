"""Ray clusters: joining one, inspecting its nodes, running studies and trainings on it."""

# Ray reads its environment variables when it is imported; balpoe.study sets them.
import balpoe.study as _study  # noqa: F401
