"""CLINC150: intents of queries."""

from __future__ import annotations

import json

from ...errors import unknown
from ...tasks import Task
from ..options import Options, Reader
from ._sentences import classified, unpacked
from .recipe import GITHUB, each

VARIANTS = ("full", "small", "imbalanced", "oos_plus")

DOMAINS = {  # 15 intents each
    name: intents.split()
    for name, intents in {
        "banking": "transfer transactions balance freeze_account pay_bill bill_balance bill_due "
        "interest_rate routing min_payment order_checks pin_change report_fraud account_blocked "
        "spending_history",
        "credit_cards": "credit_score report_lost_card credit_limit rewards_balance new_card "
        "application_status card_declined international_fees apr redeem_rewards credit_limit_change "
        "damaged_card replacement_card_duration improve_credit_score expiration_date",
        "kitchen_and_dining": "recipe restaurant_reviews calories nutrition_info restaurant_suggestion "
        "ingredients_list ingredient_substitution cook_time food_last meal_suggestion "
        "restaurant_reservation confirm_reservation how_busy cancel_reservation accept_reservations",
        "home": "shopping_list shopping_list_update next_song play_music update_playlist todo_list "
        "todo_list_update calendar calendar_update what_song order order_status reminder reminder_update "
        "smart_home",
        "auto_and_commute": "traffic directions gas gas_type distance current_location mpg oil_change_when "
        "oil_change_how jump_start uber schedule_maintenance last_maintenance tire_pressure tire_change",
        "travel": "book_flight book_hotel car_rental travel_suggestion travel_alert travel_notification "
        "carry_on timezone vaccines translate flight_status international_visa lost_luggage plug_type "
        "exchange_rate",
        "utility": "time alarm share_location find_phone weather text spelling make_call timer date "
        "calculator measurement_conversion flip_coin roll_dice definition",
        "work": "direct_deposit pto_request taxes payday w2 pto_balance pto_request_status next_holiday "
        "insurance insurance_change schedule_meeting pto_used meeting_schedule rollover_401k income",
        "small_talk": "greeting goodbye tell_joke where_are_you_from how_old_are_you what_is_your_name "
        "who_made_you thank_you what_can_i_ask_you what_are_your_hobbies do_you_have_pets are_you_a_bot "
        "meaning_of_life who_do_you_work_for fun_fact",
        "meta": "change_ai_name change_user_name cancel user_name reset_settings whisper_mode repeat no yes "
        "maybe change_language change_accent change_volume change_speed sync_device",
    }.items()
}


def read(argument: str, options: Options) -> list[Task]:
    """Read ``clinc150``, ``:small``, ``:imbalanced`` or ``:oos_plus``: 150 intents, in-scope queries only.

    A domain, such as ``clinc150:banking``, is the 15 intents of the full set that belong to it.

    References:
        Larson et al. (EMNLP 2019), https://arxiv.org/abs/1909.02027
    """
    variant = "full" if argument in DOMAINS else argument or "full"
    if variant not in VARIANTS:
        raise unknown("part of `clinc150`", variant, (*VARIANTS, *DOMAINS))
    data = json.loads(unpacked(f"clinc150/data_{variant}.json.xz", RECIPES))
    wanted, parts = DOMAINS.get(argument), {}
    for part, key in (("train", "train"), ("valid", "val"), ("test", "test")):
        rows = [row for row in data[key] if wanted is None or row[1] in wanted]
        parts[part] = [text.split() for text, _ in rows], [intent for _, intent in rows]
    return classified(
        f"clinc150_{argument}" if wanted else "clinc150", parts, sorted(set(parts["train"][1])), options
    )


_CHECKSUMS = {
    "data_full.json": "36923c3705a59e08fe9c3883d8bc2dd966ef93e22cb78ac41171782a698d56e0",
    "data_small.json": "050e17476e6b4fa88f8518edaf09921c8f5e3a86dc8b63615361102a20b2ac01",
    "data_imbalanced.json": "4886730b20c51eece26aa392ecae2717bfe9908680419e96255351c6148eb4cc",
    "data_oos_plus.json": "bfcca9ae515623541dc1983c94c4ed7cae9d26b42ae47d74b972e51bb6f7a21f",
}
RECIPES = each("clinc150/{}.xz", GITHUB + "clinc/oos-eval/master/data/", _CHECKSUMS)

READER = Reader(
    read, '150 intents: "clinc150", "clinc150:small", a domain of 15 "clinc150:banking"', texts=True
)
