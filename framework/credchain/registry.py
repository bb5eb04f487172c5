"""Entry points become providers: by name, when they are needed, and each package's failures are its own."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import attrs
import pluggy

from credchain import hooks
from credchain.errors import ClientAuthenticationError, ConfigurationError, ProviderLoadError
from credchain.installed import Found, Packages
from credchain.naming import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable

    from credchain.events import Event
    from credchain.hooks import Provider
    from credchain.host import Host

logger = logging.getLogger("credchain")

_HOOKS = ("credchain_provider", "credchain_event")
_PRIVILEGES = ("hookwrapper", "wrapper", "tryfirst", "trylast")


@attrs.frozen
class Failure:
    """A source that could not be loaded: which one, of which package, and why."""

    found: Found
    reason: str


class Registry:
    """The sources and observers that were loaded.

    Args:
        packages: What is installed; this interpreter's packages unless given.

    Attributes:
        packages: What is installed.
        failures: What could not be loaded, by name.
    """

    def __init__(self, packages: Packages | None = None) -> None:
        self.packages = packages or Packages()
        self.failures: dict[str, Failure] = {}
        self._manager = pluggy.PluginManager(hooks.PROJECT)
        self._manager.add_hookspecs(hooks)
        self._providers: dict[str, Provider] = {}
        self._origin: dict[Provider, Found] = {}
        self._switched_off: set[str] = set()

    def load(self, name: str) -> Provider:
        """The provider of a source, imported if it was not. A failure is recorded in `failures`.

        Raises:
            ProviderLoadError: There is no such source, or its package is broken.
        """
        if name in self._providers:
            return self._providers[name]
        found = self.packages.find(name)
        try:
            provider = self._provider(found)
        except ProviderLoadError as error:
            self.failures[name] = Failure(found, str(error))
            raise
        self._providers[name] = provider
        self._origin[provider] = found
        return provider

    def observe(self, name: str, *, distrust: Callable[[str | None], str | None] = lambda _: None) -> None:
        """Let an observer hear the events from now on. One that was named and cannot be loaded is an error.

        Args:
            name: The observer's name, alone or with its package.
            distrust: Tells why a package is not trusted, or None.

        Raises:
            ProviderLoadError: There is no such observer, its package is broken, or it is not trusted.
        """
        found = self.packages.find(name, hooks.OBSERVERS)
        why_not = distrust(None if found.builtin else found.distribution)
        if why_not is not None:
            raise ProviderLoadError(f"{name}: {why_not}", source=name, distribution=found.package)
        try:
            plugin = self._plugin(found)
        except ModuleNotFoundError as error:
            raise _broken(found, f"{error}; install credchain[{found.name}]") from error
        if all(one.plugin is not plugin for one in self._manager.hook.credchain_event.get_hookimpls()):
            raise _broken(found, "it has no hook credchain_event")

    def package_of(self, name: str) -> str | None:
        """The package that a source was loaded from, or None if it was not loaded."""
        provider = self._providers.get(name)
        return None if provider is None else self._origin[provider].package

    def build(self, provider: Provider, settings: Any, host: Host) -> Any:
        """The credential of a provider.

        Raises:
            ClientAuthenticationError: It says so itself, CredentialUnavailableError above all.
            ProviderLoadError: A stranger's ``build`` failed in any other way.
        """
        try:
            return _called(self._origin[provider], lambda: provider.build(settings, host))
        except ProviderLoadError as error:
            if isinstance(error.__cause__, ClientAuthenticationError | ConfigurationError):
                raise error.__cause__ from None
            raise

    def emit(self, event: Event) -> None:
        """Tell an event to every observer that was loaded. One that raises is reported once and switched off."""
        for implementation in self._manager.hook.credchain_event.get_hookimpls():
            name = implementation.plugin_name
            if name in self._switched_off:
                continue
            try:
                implementation.function(event)
            except Exception:
                self._switched_off.add(name)
                logger.exception("the observer %s failed, and hears nothing more", name)

    def _provider(self, found: Found) -> Provider:
        """What a plugin's hook gives, if it is a provider that this credchain can use."""
        plugin = self._plugin(found)
        implementations = [
            implementation
            for implementation in self._manager.hook.credchain_provider.get_hookimpls()
            if implementation.plugin is plugin
        ]
        if not implementations:
            raise _broken(found, "it has no hook credchain_provider")
        provider = _called(found, implementations[0].function)
        if not isinstance(provider, hooks.Provider):
            raise _broken(found, f"its hook returned {type(provider).__name__} where a Provider belongs")
        if provider.name != found.entry_point.name:
            raise _broken(found, f"its provider is called {provider.name!r}, unlike its entry point")
        why_not = _unfit(provider.api)
        if why_not is not None:
            raise _broken(found, why_not)
        return provider

    def _plugin(self, found: Found) -> Any:
        """What an entry point names, loaded and registered."""
        plugin = _called(found, found.entry_point.load)
        if self._manager.is_registered(plugin):
            return plugin
        try:
            _called(found, lambda: self._manager.register(plugin, name=f"{found.distribution}/{found.name}"))
            why_not = self._overreach(plugin)
            if why_not is not None:
                raise _broken(found, why_not)
        except ProviderLoadError:
            if self._manager.is_registered(plugin):
                self._manager.unregister(plugin)  # pluggy keeps what it has refused
            raise
        return plugin

    def _overreach(self, plugin: object) -> str | None:
        """What is wrong with a plugin's hooks: that they reach for others' calls, or that nobody calls them."""
        for caller in self._manager.get_hookcallers(plugin) or []:
            mine = [one for one in caller.get_hookimpls() if one.plugin is plugin]
            privileges = [word for one in mine for word in _PRIVILEGES if getattr(one, word)]
            if privileges:
                return f"its hook {caller.name} asks for {privileges[0]}; hooks here are plain"
            if caller.spec is None:
                return f"there is no hook {caller.name}{did_you_mean(caller.name, _HOOKS)}"
        return None


def _unfit(api: object) -> str | None:
    """Why a plugin written for this version of the contract cannot be used, or None."""
    oldest, newest = hooks.OLDEST_API_VERSION, hooks.API_VERSION
    if not isinstance(api, int):
        return f"its api is {api!r}, and not the number of the plugin API that it was written for"
    if api > newest:
        return f"it was written for plugin API {api}; this credchain has {newest}: it needs a newer credchain"
    if api < oldest:
        return f"it was written for plugin API {api}; this credchain takes {oldest} to {newest}: the package is too old"
    return None


def _called(found: Found, function: Callable[[], Any]) -> Any:
    """What a package's code returns; whatever a stranger's raises is an error that names the package."""
    try:
        return function()
    except (Exception, SystemExit) as error:
        if found.builtin:
            raise
        raise _broken(found, f"{type(error).__name__}: {error}") from error


def _broken(found: Found, why: str) -> ProviderLoadError:
    return ProviderLoadError(
        f"{found.name}: the {found.kind} of {found.package} cannot be loaded: {why}",
        source=found.name,
        distribution=found.package,
    )
