"""Atari games through the Arcade Learning Environment: one implementation, with the settings of a protocol as data.

Per policy step the action is repeated on 4 raw frames. The observation is the maximum of the last two, resized by Pillow's
BILINEAR filter and then, where the protocol says so, turned grey. Source: danijar/dreamerv3, embodied/envs/atari.py at the
version of the Nature paper, with one difference on purpose: here the time limit truncates; there it terminates, which is
`truncation="terminal"` here.

An episode is a function of its seed and the actions. Every reset restores the power-on state, and the number of no-ops and
the sticky actions are drawn from the seed here. (ALE seeds its own generator only in `loadROM`, which takes 80 ms. The
distribution is the same: each raw frame repeats the action before with the probability `sticky`.)

Resizing takes most of the time. Rows of pixels that did not change since the last observation therefore keep their
horizontally resized values, and only the vertical pass covers all rows. Pillow makes the same two passes with the same 8-bit
values in between: the result is exact, and a test compares it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from agents.protocol import Arrays, Space, Spec
from harness.env import Step
from harness.errors import BadInput, RunFailed

if TYPE_CHECKING:
    import ale_py
    from PIL import Image

HEIGHT, WIDTH = 210, 160
REPEAT = 4
GREY = (0.299, 0.587, 1 - (0.299 + 0.587))
# The NTSC colours of the console by hue (rows) and luminance (columns); a raw pixel is 16 * row + 2 * column.
PALETTE = [
    "000000", "4a4a4a", "6f6f6f", "8e8e8e", "aaaaaa", "c0c0c0", "d6d6d6", "ececec",
    "484800", "69690f", "86861d", "a2a22a", "bbbb35", "d2d240", "e8e84a", "fcfc54",
    "7c2c00", "904811", "a26221", "b47a30", "c3903d", "d2a44a", "dfb755", "ecc860",
    "901c00", "a33915", "b55328", "c66c3a", "d5824a", "e39759", "f0aa67", "fcbc74",
    "940000", "a71a1a", "b83232", "c84848", "d65c5c", "e46f6f", "f08080", "fc9090",
    "840064", "97197a", "a8308f", "b846a2", "c659b3", "d46cc3", "e07cd2", "ec8ce0",
    "500084", "68199a", "7d30ad", "9246c0", "a459d0", "b56ce0", "c57cee", "d48cfc",
    "140090", "331aa3", "4e32b5", "6848c6", "7f5cd5", "956fe3", "a980f0", "bc90fc",
    "000094", "181aa7", "2d32b8", "4248c8", "545cd6", "656fe4", "7580f0", "8490fc",
    "001c88", "183b9d", "2d57b0", "4272c2", "548ad2", "65a0e1", "75b5ef", "84c8fc",
    "003064", "185080", "2d6d98", "4288b0", "54a0c5", "65b7d9", "75cceb", "84e0fc",
    "004030", "18624e", "2d8169", "429e82", "54b899", "65d1ae", "75e7c2", "84fcd4",
    "004400", "1a661a", "328432", "48a048", "5cba5c", "6fd26f", "80e880", "90fc90",
    "143c00", "355f18", "527e2d", "6e9c42", "87b754", "9ed065", "b4e775", "c8fc84",
    "303800", "505916", "6d762b", "88923e", "a0ab4f", "b7c25f", "ccd86e", "e0ec7c",
    "482c00", "694d14", "866a26", "a28638", "bb9f47", "d2b656", "e8cc63", "fce070",
]  # fmt: skip
GAMES = (
    *("alien", "amidar", "assault", "asterix", "asteroids", "atlantis", "bank_heist", "battle_zone", "beam_rider"),
    *("berzerk", "bowling", "boxing", "breakout", "centipede", "chopper_command", "crazy_climber", "defender"),
    *("demon_attack", "double_dunk", "enduro", "fishing_derby", "freeway", "frostbite", "gopher", "gravitar", "hero"),
    *("ice_hockey", "jamesbond", "kangaroo", "krull", "kung_fu_master", "montezuma_revenge", "ms_pacman"),
    *("name_this_game", "phoenix", "pitfall", "pong", "private_eye", "qbert", "riverraid", "road_runner", "robotank"),
    *("seaquest", "skiing", "solaris", "space_invaders", "star_gunner", "surround", "tennis", "time_pilot"),
    *("tutankham", "up_n_down", "venture", "video_pinball", "wizard_of_wor", "yars_revenge", "zaxxon"),
)


@dataclass(frozen=True)
class AtariProtocol:
    """What differs between benchmarks. `sticky` is a probability per raw frame, `limit` counts raw frames."""

    size: int
    grey: bool
    sticky: float
    actions: str  # "minimal" of the game, or "full": all 18
    life_loss: bool = False  # whether a life lost ends the episode
    noops: int = 30  # before the first observation: uniform in 0 to this
    limit: int = 108_000


def extras(protocol: AtariProtocol) -> dict[str, object]:
    """The options that depart from a protocol, at its own values."""
    return {"sticky": protocol.sticky, "actions": protocol.actions, "life_loss": protocol.life_loss}


def check_options(options: Mapping[str, object]) -> None:
    """BadInput for a value that no game takes."""
    allowed: dict[str, tuple[Callable[[Any], bool], str]] = {
        "truncation": (lambda x: x in ("truncated", "terminal"), "'truncated' or 'terminal'"),
        "actions": (lambda x: x in ("minimal", "full"), "'minimal' or 'full'"),
        "life_loss": (lambda x: isinstance(x, bool), "true or false"),
        "sticky": (lambda x: isinstance(x, int | float) and not isinstance(x, bool) and 0 <= x < 1, "a number in [0, 1)"),
    }
    for name, value in options.items():
        takes, words = allowed[name]
        if not takes(value):
            raise BadInput(f"Option {name}={value!r} of Atari must be {words}.")


def make(game: str, protocol: AtariProtocol, truncation: str, **departures: Any) -> Atari:
    """One game. `departures`: fields of the protocol that have another value."""
    check_options({"truncation": truncation, **departures})
    return Atari(game, protocol=replace(protocol, **departures), terminal_limit=truncation == "terminal")


class Atari:
    """One game. `native` is applied to the pooled 210x160 RGB frame, once per observation."""

    def __init__(self, game: str, *, protocol: AtariProtocol, terminal_limit: bool):
        self.native: Callable[[np.ndarray], np.ndarray] | None = None
        self._protocol, self._terminal_limit = protocol, terminal_limit
        self._ale = _load_game(game)
        full = protocol.actions == "full"
        action_set = self._ale.getLegalActionSet() if full else self._ale.getMinimalActionSet()
        self._actions = [action.value for action in action_set]
        self._power_on = self._ale.cloneState(include_rng=True)
        self._resizer = ScreenResizer(protocol.size)
        self._screens = np.zeros((2, HEIGHT, WIDTH), np.uint8)  # the last two raw frames, written in turn
        self._newest = 0
        shape = (protocol.size, protocol.size, 1 if protocol.grey else 3)
        self.spec = Spec({"image": Space(shape, "uint8")}, Space((), "int32", classes=len(self._actions)))

    def reset(self, seed: int) -> Arrays:
        self._ale.restoreState(self._power_on)
        self._ale.reset_game()
        self._rng = np.random.Generator(np.random.Philox(seed))
        for _ in range(self._rng.integers(self._protocol.noops + 1)):
            self._ale.act(0)
            if self._ale.game_over():
                self._ale.reset_game()
        self._lives = self._ale.lives()
        self._frames = self._last_action = 0
        self._read_screen()
        self._screens[:] = self._screens[self._newest]
        self._resizer.check(self._screens, self._ale.getScreenRGB())
        return self._obs()

    def step(self, action: np.ndarray) -> Step:
        reward, game_over, time_up = 0.0, False, False
        for repeat, raw_action in enumerate(self._sticky_actions(self._actions[int(action)])):
            reward += self._ale.act(raw_action)
            self._frames += 1
            if repeat >= REPEAT - 2:
                self._read_screen()
            game_over, time_up = self._ale.game_over(), self._frames >= self._protocol.limit
            game_over = game_over or (self._protocol.life_loss and self._has_lost_life())
            if game_over or time_up:
                break
        terminated = game_over or (time_up and self._terminal_limit)
        return Step(self._obs(), reward, terminated, time_up and not terminated)

    def _has_lost_life(self) -> bool:
        """Whether there are fewer lives than when this was asked last."""
        before, self._lives = self._lives, self._ale.lives()
        return self._lives < before

    def step_bare(self, action: np.ndarray) -> bool:
        """The emulator's part of a step and nothing else -> whether the game is over."""
        for _ in range(REPEAT):
            self._ale.act(self._actions[int(action)])
        return self._ale.game_over()

    def close(self) -> None:
        pass

    def _sticky_actions(self, action: int) -> list[int]:
        """The action of each raw frame. The last one may be repeated in the first frames of the next step."""
        if not self._protocol.sticky:
            return [action] * REPEAT
        actions = []
        for uniform in self._rng.random(REPEAT):
            self._last_action = self._last_action if uniform < self._protocol.sticky else action
            actions.append(self._last_action)
        return actions

    def _read_screen(self) -> None:
        self._newest = 1 - self._newest
        self._ale.getScreen(self._screens[self._newest])

    def _obs(self) -> Arrays:
        if self.native:
            image = _resize_frame(self.native(self._resizer.pool(self._screens)), self._protocol.size)
        else:
            image = self._resizer(self._screens)
        return {"image": _to_grey(image) if self._protocol.grey else image}


class ScreenResizer:
    """Two raw screens -> the maximum of their colours, resized to a square. Rows that did not change are not resized again."""

    def __init__(self, size: int):
        self._size = size
        colours = np.zeros((128, 4), np.uint8)  # RGB and one byte that lets Pillow read the memory as it is
        colours[:, :3] = [list(bytes.fromhex(colour)) for colour in PALETTE]
        self._palette = np.repeat(colours, 2, axis=0).view(np.uint32).ravel()
        self._last_words = np.zeros((2, HEIGHT, WIDTH // 8), np.uint64)
        self._rows = np.zeros((HEIGHT, size, 4), np.uint8)  # after the horizontal pass; black, as `_last_words` is

    def __call__(self, screens: np.ndarray) -> np.ndarray:
        """(2, 210, 160) raw -> (size, size, 3) uint8, the caller's own."""
        changed = self._changed_rows(screens)
        if len(changed):
            self._rows[changed] = np.asarray(self._resize(self._colours(screens[:, changed]), len(changed)))
        small = bytearray(self._resize(self._rows, self._size).tobytes("raw", "RGB"))
        return np.frombuffer(small, np.uint8).reshape(self._size, self._size, 3)

    def pool(self, screens: np.ndarray) -> np.ndarray:
        """The maximum at full size: (210, 160, 3) uint8."""
        return self._colours(screens)[..., :3].copy()

    def check(self, screens: np.ndarray, rgb: np.ndarray) -> None:
        """RunFailed if this emulator's colours are not those of PALETTE."""
        if not np.array_equal(self.pool(screens), rgb):
            raise RunFailed("This version of ale-py shows other colours than those in harness/envs/_atari.py.")

    def _changed_rows(self, screens: np.ndarray) -> np.ndarray:
        """Rows in which either screen differs from the last call's."""
        words = screens.view(np.uint64)
        different = np.zeros(HEIGHT, bool)
        different[np.flatnonzero(words != self._last_words) // words.shape[2] % HEIGHT] = True
        np.copyto(self._last_words, words)
        return different.nonzero()[0]

    def _colours(self, screens: np.ndarray) -> np.ndarray:
        """(2, rows, 160) raw -> (rows, 160, 4): the maximum of each colour."""
        first, second = (self._palette.take(screen).view(np.uint8) for screen in screens)
        return np.maximum(first, second, out=first).reshape(*screens.shape[1:], 4)

    def _resize(self, pixels: np.ndarray, height: int) -> Image.Image:
        """A Pillow image of (height, size), from (height or more, width, 4)."""
        shape = pixels.shape[1::-1]
        from PIL import Image

        image = Image.frombuffer("RGBX", shape, pixels, "raw", "RGBX", 0, 1)
        return image.resize((self._size, height), Image.Resampling.BILINEAR)


def _resize_frame(frame: np.ndarray, size: int) -> np.ndarray:
    from PIL import Image

    return np.array(Image.fromarray(frame).resize((size, size), Image.Resampling.BILINEAR))


def _to_grey(image: np.ndarray) -> np.ndarray:
    red, green, blue = (image[..., channel] * weight for channel, weight in enumerate(GREY))
    return (red + green + blue).astype(np.uint8)[..., None]  # truncated, not rounded, as in the source


def _load_game(game: str) -> ale_py.ALEInterface:
    import ale_py
    from ale_py import roms

    if ale_py.__version__.startswith("0.10."):
        raise RunFailed(
            f"ale-py {ale_py.__version__} has broken discrete actions (Asterix among the games): install ale-py>=0.11."
        )
    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
    path = roms.get_rom_path(game)
    if path is None:
        raise RunFailed(f"ale-py {ale_py.__version__} has no ROM of '{game}'.")
    ale = ale_py.ALEInterface()
    ale.setInt("random_seed", 0)
    ale.setFloat("repeat_action_probability", 0.0)
    ale.loadROM(path)
    return ale
