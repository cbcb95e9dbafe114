"""The pane's fields: `{% field pane "smtp__host" %}`, `{% service_switch pane "smtp" %}`, `{{ mapping|value:key }}`."""

from collections.abc import Mapping
from typing import Any

from django import forms, template

from emailcfg.pins import Pin
from emailcfg.views.fields import PaneView

register = template.Library()


@register.filter
def value(mapping: Mapping[str, Any], key: str) -> Any:
    """An entry of a mapping by a key that templates can't write as an attribute."""
    return mapping.get(key, "")


@register.inclusion_tag("emailcfg/field.html")
def field(pane: PaneView, name: str) -> dict[str, Any]:
    """One field with its label, control, help and note."""
    bound, pin = pane.form[name], pane.pins.get(name)
    bound.field.disabled = pin is not None
    help_text = pane.hints.get(name, str(bound.help_text))
    return {
        "field": bound,
        "note": pane.notes[name],
        "is_switch": isinstance(bound.field, forms.BooleanField),
        "control": "form-select" if isinstance(bound.field.widget, forms.Select) else "form-control",
        "described": _described(name, help_text, pin),
        "pin": pin,
        "help_text": help_text,
        "oob": False,
    }


@register.inclusion_tag("emailcfg/service_switch.html")
def service_switch(pane: PaneView, service: str) -> dict[str, Any]:
    """The on/off switch in a service's header."""
    name = f"{service}__enabled"
    return {"service": pane.services[service], "note": pane.notes[name], "pin": pane.pins.get(name), "oob": False}


def _described(name: str, help_text: str, pin: Pin | None) -> str:
    parts = [f"help-{name}" if help_text else "", f"pin-{name}" if pin is not None else "", f"note-{name}"]
    return " ".join(part for part in parts if part)
