"""What the step of an optimizer is compiled to, on machines that need not be there."""

from .figures import CompiledStep as CompiledStep, compiled as compiled
from .targets import TARGETS as TARGETS, Target as Target
